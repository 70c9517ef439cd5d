//! What the fold says.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::id::Epoch;
use crate::record::{End, Open};
use crate::time::Ticks;

/// A stretch of source time mapped to the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// Where it begins: the presentation time of its first keyframe, on a
    /// segment boundary.
    pub at: Ticks,
    /// The source's presentation time there, RTMP ms.
    pub source_ms: i64,
    /// Discontinuities on the timeline up to here; 0 in the first base.
    pub discontinuities: u32,
    /// Wall clock of the first keyframe's arrival, ms since 1970.
    pub date_ms: i64,
}

impl Base {
    /// Source time (RTMP ms) on the timeline.
    pub fn place(&self, source_ms: i64) -> Ticks {
        self.at + Ticks::from_ms(source_ms.saturating_sub(self.source_ms))
    }

    /// Wall clock of a moment of this base, ms since 1970.
    pub fn date_of(&self, at: Ticks) -> i64 {
        self.date_ms.saturating_add((at - self.at).as_ms())
    }
}

/// A place in the log where a new reader can start, with the state it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPoint {
    /// Offset of the first record to read.
    pub offset: i64,
    /// The fold's state before that record.
    pub snapshot: Snapshot,
}

/// A picture on the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    /// Decode time.
    pub dts: Ticks,
    /// Presentation time.
    pub pts: Ticks,
    /// The step between pictures here: how long this one stays when it turns
    /// out to be the base's last.
    pub step: Ticks,
    /// By the FLV frame type; whether it is an IDR is in its NAL units.
    pub keyframe: bool,
    /// Wall clock of arrival at ingest, ms since 1970.
    pub arrival_ms: i64,
    /// FLV tag body.
    pub payload: Bytes,
    /// How to start a reader at this keyframe.
    pub restart: Option<Box<RestartPoint>>,
}

/// What an audio frame of the grid holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioData {
    /// The source's: an FLV tag body.
    Frame(Bytes),
    /// Nothing came: silence.
    Silence,
}

/// 1,024 samples of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFrame {
    /// Place on the grid: it begins `index × 1,024` samples after zero.
    pub index: i64,
    /// What it holds.
    pub data: AudioData,
}

/// One step of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A broadcast begins.
    Started(Open),
    /// A publisher connection takes over; frames follow in a new base.
    Publisher(Epoch),
    /// A base opens: frames follow from its first keyframe on.
    Base(Base),
    /// The pictures' configuration: FLV tag body. After every [`Event::Base`].
    VideoConfig(Bytes),
    /// The sound's configuration: FLV tag body. After [`Event::Base`], or when
    /// sound begins later.
    AudioConfig(Bytes),
    /// A picture.
    Video(VideoFrame),
    /// Sound. Indexes only grow.
    Audio(AudioFrame),
    /// The broadcast is over.
    Ended(End),
}

/// What the fold dropped or filled, in frames or records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Records of a fenced epoch, and opens that lost.
    pub stale_epoch: u64,
    /// Frames outside any broadcast.
    pub outside_broadcast: u64,
    /// Frames that came before a keyframe they need.
    pub before_keyframe: u64,
    /// Frames whose time agreed with nothing around them.
    pub stray: u64,
    /// Audio frames that came after their place was filled.
    pub late_audio: u64,
    /// Audio frames of another sample rate than the broadcast's, or of a form
    /// that is not taken.
    pub foreign_audio: u64,
    /// Audio frames of silence put in.
    pub silence: u64,
}
