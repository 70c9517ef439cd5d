//! The record: what one message in `stream-frames.<stream_id>` holds.
//!
//! A fixed header of 44 bytes, big-endian, then the payload: an FLV tag body
//! as RTMP brought it, or a control record as JSON.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | kind: 1 video, 2 audio, 3 open, 4 facts, 5 end |
//! | 2 | 1 | flags: 1 keyframe, 2 configuration, 4 repeated |
//! | 3 | 1 | 0 |
//! | 4 | 8 | epoch |
//! | 12 | 8 | sequence in the epoch |
//! | 20 | 8 | RTMP time in ms, unwrapped to 64 bit |
//! | 28 | 4 | composition offset in ms (video) |
//! | 32 | 8 | wall clock of arrival, ms since 1970 |
//! | 40 | 2 | chunk number, from 0 |
//! | 42 | 2 | chunks in this group, 1 for a whole record |
//!
//! A reader skips a record of another version or an unknown kind; it never
//! fails the stream.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{BroadcastId, Epoch, KeyId};

mod chunks;

pub use chunks::{MAX_CHUNK, MAX_FRAME, Reassembler, split};

/// The version this code writes. One version back and forth is readable.
pub const VERSION: u8 = 1;
/// Bytes of header before the payload.
pub const HEADER_LEN: usize = 44;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Shorter than its header.
    #[error("record of {0} bytes is shorter than its header of {HEADER_LEN}")]
    Short(usize),
    /// Written by another version.
    #[error("record version {0} is not {VERSION}")]
    Version(u8),
    /// A kind this version does not know.
    #[error("record kind {0} is unknown")]
    Kind(u8),
    /// Chunk numbers that contradict each other.
    #[error("record chunk {index} of {count} is impossible")]
    Chunk {
        /// The chunk's number.
        index: u16,
        /// How many the group claims.
        count: u16,
    },
    /// A control record whose JSON does not parse.
    #[error("control record: {0}")]
    Control(String),
}

/// Which elementary stream a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Track {
    /// FLV video tags.
    Video,
    /// FLV audio tags.
    Audio,
}

/// One RTMP audio or video message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Audio or video.
    pub track: Track,
    /// A video keyframe, by the FLV frame type.
    pub keyframe: bool,
    /// A decoder configuration, not a picture or sound.
    pub config: bool,
    /// Written again before a keyframe so that a reader can start there.
    pub repeated: bool,
    /// Position in the epoch; every record of an epoch has its own.
    pub sequence: u64,
    /// RTMP time (decode time) in ms, unwrapped.
    pub time_ms: i64,
    /// Presentation minus decode time in ms; 0 for audio.
    pub composition_ms: i32,
    /// Wall clock of arrival at ingest, ms since 1970.
    pub arrival_ms: i64,
    /// The FLV tag body.
    pub payload: Bytes,
}

/// The facts of an epoch: who publishes, as part of which broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// The broadcast this epoch belongs to.
    pub broadcast: BroadcastId,
    /// The writer's own number: the first `open` of an epoch wins.
    pub nonce: Uuid,
    /// The publish key's public half.
    pub key_id: KeyId,
    /// When the broadcast began, ms since 1970; the same in all its epochs.
    pub started_ms: i64,
    /// The broadcast had epochs before this one: who reads this first has not
    /// seen its beginning.
    #[serde(default)]
    pub resumed: bool,
}

/// Why a broadcast ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndReason {
    /// The publisher said so (FCUnpublish or deleteStream).
    Unpublished,
    /// No publisher came back within the reconnect window.
    ReconnectWindow,
    /// The publish key was revoked.
    KeyRevoked,
    /// An administrator ended it.
    Administrator,
}

/// The end of a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The broadcast that is over.
    pub broadcast: BroadcastId,
    /// Why.
    pub reason: EndReason,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A publisher takes the stream.
    Open(Open),
    /// The open epoch's facts again, before a keyframe.
    Facts(Open),
    /// The broadcast is over.
    End(End),
    /// A frame.
    Frame(Frame),
}

/// One whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The publisher connection that wrote it.
    pub epoch: Epoch,
    /// What it says.
    pub body: Body,
}

/// The header, as it lies in front of every chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    kind: u8,
    flags: u8,
    epoch: u64,
    sequence: u64,
    time_ms: i64,
    composition_ms: i32,
    arrival_ms: i64,
    chunk: u16,
    chunks: u16,
}

const KIND_VIDEO: u8 = 1;
const KIND_AUDIO: u8 = 2;
const KIND_OPEN: u8 = 3;
const KIND_FACTS: u8 = 4;
const KIND_END: u8 = 5;
const FLAG_KEYFRAME: u8 = 1;
const FLAG_CONFIG: u8 = 2;
const FLAG_REPEATED: u8 = 4;

impl Header {
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u8(0);
        out.put_u64(self.epoch);
        out.put_u64(self.sequence);
        out.put_i64(self.time_ms);
        out.put_i32(self.composition_ms);
        out.put_i64(self.arrival_ms);
        out.put_u16(self.chunk);
        out.put_u16(self.chunks);
    }

    fn read(bytes: &Bytes) -> Result<(Self, Bytes), RecordError> {
        use bytes::Buf;
        let mut rest = bytes.clone();
        if rest.len() < HEADER_LEN {
            return Err(RecordError::Short(bytes.len()));
        }
        let version = rest.get_u8();
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let kind = rest.get_u8();
        if !(KIND_VIDEO..=KIND_END).contains(&kind) {
            return Err(RecordError::Kind(kind));
        }
        let flags = rest.get_u8();
        rest.advance(1);
        let header = Self {
            kind,
            flags,
            epoch: rest.get_u64(),
            sequence: rest.get_u64(),
            time_ms: rest.get_i64(),
            composition_ms: rest.get_i32(),
            arrival_ms: rest.get_i64(),
            chunk: rest.get_u16(),
            chunks: rest.get_u16(),
        };
        if header.chunk >= header.chunks {
            return Err(RecordError::Chunk { index: header.chunk, count: header.chunks });
        }
        Ok((header, rest))
    }

    fn into_record(self, payload: Bytes) -> Result<Record, RecordError> {
        fn json<T: for<'a> Deserialize<'a>>(payload: &Bytes) -> Result<T, RecordError> {
            serde_json::from_slice(payload).map_err(|e| RecordError::Control(e.to_string()))
        }
        let body = match self.kind {
            KIND_OPEN => Body::Open(json(&payload)?),
            KIND_FACTS => Body::Facts(json(&payload)?),
            KIND_END => Body::End(json(&payload)?),
            _ => Body::Frame(Frame {
                track: if self.kind == KIND_VIDEO { Track::Video } else { Track::Audio },
                keyframe: self.flags & FLAG_KEYFRAME != 0,
                config: self.flags & FLAG_CONFIG != 0,
                repeated: self.flags & FLAG_REPEATED != 0,
                sequence: self.sequence,
                time_ms: self.time_ms,
                composition_ms: self.composition_ms,
                arrival_ms: self.arrival_ms,
                payload,
            }),
        };
        Ok(Record { epoch: Epoch(self.epoch), body })
    }
}

impl Record {
    /// The header without chunk numbers, and the payload.
    fn header(&self) -> Result<(Header, Bytes), RecordError> {
        fn json<T: Serialize>(value: &T) -> Result<Bytes, RecordError> {
            let bytes =
                serde_json::to_vec(value).map_err(|e| RecordError::Control(e.to_string()))?;
            Ok(Bytes::from(bytes))
        }
        let control = |kind| Header {
            kind,
            flags: 0,
            epoch: self.epoch.0,
            sequence: 0,
            time_ms: 0,
            composition_ms: 0,
            arrival_ms: 0,
            chunk: 0,
            chunks: 1,
        };
        Ok(match &self.body {
            Body::Open(open) => (control(KIND_OPEN), json(open)?),
            Body::Facts(open) => (control(KIND_FACTS), json(open)?),
            Body::End(end) => (control(KIND_END), json(end)?),
            Body::Frame(frame) => {
                let flag = |on: bool, bit: u8| if on { bit } else { 0 };
                let header = Header {
                    kind: match frame.track {
                        Track::Video => KIND_VIDEO,
                        Track::Audio => KIND_AUDIO,
                    },
                    flags: flag(frame.keyframe, FLAG_KEYFRAME)
                        | flag(frame.config, FLAG_CONFIG)
                        | flag(frame.repeated, FLAG_REPEATED),
                    sequence: frame.sequence,
                    time_ms: frame.time_ms,
                    composition_ms: frame.composition_ms,
                    arrival_ms: frame.arrival_ms,
                    ..control(KIND_VIDEO)
                };
                (header, frame.payload.clone())
            }
        })
    }
}
