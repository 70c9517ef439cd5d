//! Access units in, parts and segments out. Pure: where a part or a segment
//! ends depends on frame times alone, so every run cuts a timeline alike.

mod cutter;
mod frame_clock;

pub use cutter::{Cut, Cutter, Grid, PartCut, Position};
pub use frame_clock::FrameClock;

use bytes::Bytes;

/// One access unit with exact times, in the rendition's timescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Decode time.
    pub start: i64,
    /// Presentation minus decode time.
    pub composition: i32,
    /// Time until the next access unit.
    pub duration: i64,
    /// Decodable without others.
    pub sync: bool,
    /// Length-prefixed NAL units, or one raw AAC frame.
    pub data: Bytes,
}
