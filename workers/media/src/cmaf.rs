//! CMAF: init segments and parts (ISO 23000-19 on ISO 14496-12).
//!
//! One track per file, track 1. A part is one `moof` and its `mdat`; a segment
//! is the concatenation of its parts, nothing else, so that a segment's bytes
//! are known from its parts'. Bytes depend on the arguments alone: init
//! segments are named by their hash.

mod boxes;
mod init;
mod part;

pub use init::{VIDEO_TIMESCALE, audio_init, video_init};
pub use part::{Part, Sample};
