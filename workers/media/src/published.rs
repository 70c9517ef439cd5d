//! What the transcoder publishes and delivery serves: the descriptions of
//! broadcasts, renditions, segments and parts, and the names media has in URLs.
//!
//! They travel as JSON in Redis Streams and in the object store's index. Fields
//! are only ever added.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use crate::time::Ticks;

/// Frames per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRate {
    /// Numerator.
    pub num: u32,
    /// Denominator, not 0.
    pub den: u32,
}

/// The hash in an init segment's name: the first 16 hex digits of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InitHash(String);

impl InitHash {
    /// Of an init segment's bytes.
    pub fn of(init: &[u8]) -> Self {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(init);
        Self(hex::encode(digest.get(..8).unwrap_or_default()))
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InitHash {
    type Err = InvalidMediaName;
    fn from_str(text: &str) -> Result<Self, InvalidMediaName> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 16 && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidMediaName)
        }
    }
}

impl TryFrom<String> for InitHash {
    type Error = InvalidMediaName;
    fn try_from(text: String) -> Result<Self, InvalidMediaName> {
        text.parse()
    }
}

impl From<InitHash> for String {
    fn from(hash: InitHash) -> Self {
        hash.0
    }
}

/// What a rendition carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RenditionKind {
    /// One rung of the ladder.
    Video {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// The audio group.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// 1 or 2 in v1.
        channels: u8,
    },
}

/// One rendition of a broadcast, fixed for its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenditionInfo {
    /// Its name in URLs and keys.
    pub name: RenditionName,
    /// Video or audio.
    pub kind: RenditionKind,
    /// RFC 6381 codecs string, for example `avc1.64001f`.
    pub codecs: String,
    /// Ticks per second of its parts' times: 90,000 for video, the sample
    /// rate for audio.
    pub timescale: u32,
    /// Peak bits per second, an upper bound (the encoder's VBV).
    pub bandwidth: u64,
    /// Average bits per second.
    pub average_bandwidth: u64,
}

/// Who may watch a broadcast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Everybody.
    #[default]
    Public,
    /// Who shows a signed token.
    Token,
}

/// One broadcast as viewers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastInfo {
    /// The stream.
    pub stream: StreamId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// Nominal segment duration.
    pub segment_duration: Ticks,
    /// PART-TARGET; no part is longer.
    pub part_target: Ticks,
    /// How far back a playlist reaches.
    pub dvr_window: Ticks,
    /// The source's frame rate.
    pub frame_rate: FrameRate,
    /// Video rungs lowest first, then audio if there is any.
    pub renditions: Vec<RenditionInfo>,
    /// No more media will come.
    pub ended: bool,
    /// Who may watch. A word that is not known here makes the whole unreadable:
    /// nobody watches rather than everybody.
    #[serde(default)]
    pub access: Access,
}

impl BroadcastInfo {
    /// The rendition of this name.
    pub fn rendition(&self, name: &RenditionName) -> Option<&RenditionInfo> {
        self.renditions.iter().find(|r| &r.name == name)
    }
}

/// A part of a segment that is still growing or just complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartInfo {
    /// The segment it belongs to.
    pub msn: Msn,
    /// Its number in the segment, from 0.
    pub part: u32,
    /// The run that made it.
    pub run: Run,
    /// Start in the rendition's timescale.
    pub start: i64,
    /// Duration in the rendition's timescale.
    pub duration: i64,
    /// Length in bytes.
    pub bytes: u64,
    /// It begins with a keyframe.
    pub independent: bool,
    /// Discontinuities on the timeline up to and with this segment's start.
    pub discontinuities: u32,
    /// Wall clock of its start, ms since 1970.
    pub date_ms: i64,
    /// The init segment it needs.
    pub init: InitHash,
    /// Where its stretch begins, as [`SegmentInfo::base`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Ticks>,
}

/// A complete segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentInfo {
    /// Media sequence number.
    pub msn: Msn,
    /// The run that completed it, in its name.
    pub run: Run,
    /// Start in the rendition's timescale.
    pub start: i64,
    /// Duration in the rendition's timescale.
    pub duration: i64,
    /// Length in bytes.
    pub bytes: u64,
    /// Discontinuities on the timeline up to and with its start.
    pub discontinuities: u32,
    /// Wall clock of its start, ms since 1970.
    pub date_ms: i64,
    /// The init segment it needs.
    pub init: InitHash,
    /// There is no media here (EXT-X-GAP): the source had none, or it is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    /// Where on the timeline the stretch begins that it is in: media without a
    /// discontinuity that one init segment serves. It is a line of the grid, or
    /// zero. DASH's periods begin there, and a window that has moved on must
    /// still say so. A gap is in the stretch before it. Unknown from older
    /// writers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Ticks>,
}

/// One entry of a rendition's playlist log, in the order published.
///
/// Its id in the Redis Stream is [`Entry::id`], so that a repeated write is
/// refused and nothing is ever doubled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Entry {
    /// A part can be fetched.
    Part(PartInfo),
    /// A segment is complete and can be fetched whole.
    Segment(SegmentInfo),
    /// The rendition ends; nothing follows.
    End {
        /// One past the last segment.
        msn: Msn,
    },
}

impl Entry {
    /// The sequence half of a segment's id; more parts than any segment has.
    pub const SEGMENT_SEQUENCE: u64 = 1_000_000;

    /// `(milliseconds, sequence)` halves of the entry's id: `<msn>-<part + 1>`
    /// for a part, `<msn>-1000000` for its segment, `<msn>-0` for the end
    /// (whose msn is one past the last).
    pub fn id(&self) -> (u64, u64) {
        match self {
            Self::Part(part) => (part.msn.0, u64::from(part.part) + 1),
            Self::Segment(segment) => (segment.msn.0, Self::SEGMENT_SEQUENCE),
            Self::End { msn } => (msn.0, 0),
        }
    }
}

/// The name is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a media name: <msn>-<run>.m4s, <msn>.<part>-<run>.m4s or init-<16 hex digits>.mp4")]
pub struct InvalidMediaName;

/// The last path element of a piece of media. Names are never reused: they
/// carry the run, or the hash of the content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MediaName {
    /// `<msn>-<run>.m4s`
    Segment {
        /// Media sequence number.
        msn: Msn,
        /// The run that completed it.
        run: Run,
    },
    /// `<msn>.<part>-<run>.m4s`
    Part {
        /// Media sequence number.
        msn: Msn,
        /// Part number, from 0.
        part: u32,
        /// The run that made it.
        run: Run,
    },
    /// `init-<hash>.mp4`
    Init(InitHash),
}

impl fmt::Display for MediaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment { msn, run } => write!(f, "{msn}-{run}.m4s"),
            Self::Part { msn, part, run } => write!(f, "{msn}.{part}-{run}.m4s"),
            Self::Init(hash) => write!(f, "init-{}.mp4", hash.as_str()),
        }
    }
}

impl FromStr for MediaName {
    type Err = InvalidMediaName;

    fn from_str(text: &str) -> Result<Self, InvalidMediaName> {
        if let Some(hash) = text.strip_prefix("init-").and_then(|t| t.strip_suffix(".mp4")) {
            return hash.parse().map(Self::Init);
        }
        let (number, run) = text
            .strip_suffix(".m4s")
            .and_then(|stem| stem.split_once('-'))
            .ok_or(InvalidMediaName)?;
        let run = Run(canonical(run)?);
        Ok(match number.split_once('.') {
            None => Self::Segment { msn: Msn(canonical(number)?), run },
            Some((msn, part)) => Self::Part {
                msn: Msn(canonical(msn)?),
                part: u32::try_from(canonical(part)?).map_err(|_| InvalidMediaName)?,
                run,
            },
        })
    }
}

/// A number in its one spelling: one object has one URL.
fn canonical(text: &str) -> Result<u64, InvalidMediaName> {
    let number: u64 = text.parse().map_err(|_| InvalidMediaName)?;
    if number.to_string() == text { Ok(number) } else { Err(InvalidMediaName) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_names_round_trip_and_have_one_spelling() {
        for name in ["7-1.m4s", "7.0-12.m4s", "init-0123456789abcdef.mp4"] {
            assert_eq!(name.parse::<MediaName>().unwrap().to_string(), name);
        }
        for bad in ["07-1.m4s", "7-1.mp4", "7.+1-1.m4s", "init-xyz.mp4", "../7-1.m4s", "-1.m4s"] {
            assert!(bad.parse::<MediaName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_description_without_a_word_of_access_is_public_and_one_with_an_unknown_is_unreadable() {
        let text = |access: &str| {
            format!(
                r#"{{"stream":"a.b","broadcast":"0192f0c1-2345-7abc-8def-0123456789ab",
                "startedMs":0,"segmentDuration":180000,"partTarget":19350,"dvrWindow":0,
                "frameRate":{{"num":30,"den":1}},"renditions":[],"ended":false{access}}}"#
            )
        };
        let read = |access: &str| serde_json::from_str::<BroadcastInfo>(&text(access));
        assert_eq!(read("").unwrap().access, Access::Public);
        assert_eq!(read(r#","access":"token""#).unwrap().access, Access::Token);
        assert!(read(r#","access":"invited""#).is_err());
    }
}
