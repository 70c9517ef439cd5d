//! The pure half of Millrace: bytes in, bytes out.
//!
//! Everything that decides what a viewer sees is in this crate: how RTMP is
//! spoken, how records in the log are framed, how the log folds into one
//! timeline, how access units become CMAF, and how playlists are written. It
//! knows no clock, no socket, no task and no server; time and randomness are
//! arguments.

pub mod aac;
pub mod avc;
pub mod cmaf;
pub mod cmcd;
pub mod dash;
pub mod flv;
pub mod hls;
pub mod id;
pub mod index;
pub mod ladder;
pub mod published;
pub mod record;
pub mod rtmp;
pub mod time;
pub mod timeline;
