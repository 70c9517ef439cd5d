//! The transcoder: the log in, CMAF parts and segments out. A pod per stream.
//!
//! [`worker`] follows the log ([`source`]), which says frames at their places
//! on the timeline. A [`session`] per broadcast feeds them to ffmpeg
//! ([`encoder`]), cuts what comes back into parts ([`package`], [`rendition`])
//! and gets those out ([`publish`]). Where there are two transcoders, one of
//! them only stands by ([`duty`], [`standby`]). [`services`] is the world. Nothing here
//! decides what is live or where the timeline is: the log does.

pub mod config;
pub mod duty;
pub mod encoder;
pub mod format;
pub mod gop;
pub mod lag;
pub mod metrics;
pub mod package;
pub mod publish;
pub mod rendition;
pub mod services;
pub mod session;
pub mod source;
pub mod standby;
pub mod supervise;
pub mod worker;
