//! The data of every kind of event. docs/events/ has their JSON Schemas, made
//! from these types by `make events`.
//!
//! Fields are only ever added.

use std::collections::BTreeMap;

use millrace_media::id::{BroadcastId, Epoch, Msn, RenditionName, Run};
use millrace_media::published::{InitHash, SegmentInfo};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::EventType;

/// The data of an event; which it is says of what kind the event is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each is named as what it holds")]
pub enum EventData {
    StreamProvisioned(StreamProvisioned),
    StreamStarted(StreamStarted),
    StreamInterrupted(StreamInterrupted),
    StreamResumed(StreamResumed),
    StreamEnded(StreamEnded),
    StreamFailed(StreamFailed),
    SegmentGenerated(SegmentGenerated),
    QualityChanged(QualityChanged),
    ViewerJoined(ViewerJoined),
    ViewerLeft(ViewerLeft),
}

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        impl EventData {
            /// Of what kind it is.
            pub fn kind(&self) -> EventType {
                match self { $(Self::$kind(_) => EventType::$kind),* }
            }
        }
        $(impl From<$kind> for EventData {
            fn from(data: $kind) -> Self {
                Self::$kind(data)
            }
        })*
    };
}

kinds!(
    StreamProvisioned,
    StreamStarted,
    StreamInterrupted,
    StreamResumed,
    StreamEnded,
    StreamFailed,
    SegmentGenerated,
    QualityChanged,
    ViewerJoined,
    ViewerLeft,
);

/// A LiveStream is registered, and what it needs is made. Once per UID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamProvisioned {
    /// UID of the LiveStream.
    pub uid: String,
    /// Who owns it.
    pub broadcaster: String,
    /// The rungs of its ladder, as the spec has them.
    pub ladder: Vec<Rung>,
}

/// A rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rung {
    /// Its name, as in URLs.
    #[schemars(with = "String")]
    pub name: RenditionName,
    /// Pixels.
    pub height: u32,
    /// Video, kbit/s.
    pub bitrate_kbps: u32,
}

/// A broadcast has begun: its first picture is in the log. Once per broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStarted {
    /// The broadcast.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub broadcast: BroadcastId,
    /// The publisher connection whose picture it was.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
}

/// The publisher is gone without an end; the broadcast waits for it. Once per
/// publisher connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamInterrupted {
    /// The broadcast.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub broadcast: BroadcastId,
    /// The publisher connection that was lost.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
}

/// A publisher is back and its first picture is in the log. Once per publisher
/// connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamResumed {
    /// The broadcast.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub broadcast: BroadcastId,
    /// The new publisher connection.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
}

/// A broadcast is over. Once per broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamEnded {
    /// The broadcast.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub broadcast: BroadcastId,
    /// The last publisher connection.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
    /// Why: `unpublished`, `reconnectWindow`, `keyRevoked`, `administrator`,
    /// `deleted` (the LiveStream was).
    pub reason: String,
}

/// A broadcast is over by a fault. Once per broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamFailed {
    /// The broadcast.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub broadcast: BroadcastId,
    /// The last publisher connection.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
    /// Which fault, for people; `noMedia` when no picture ever came.
    pub reason: String,
}

/// A segment is durable in all renditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentGenerated {
    /// The broadcast.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub broadcast: BroadcastId,
    /// Media sequence number: a broadcast's segments in order.
    #[schemars(with = "u64")]
    pub msn: Msn,
    /// The segment by rendition.
    #[schemars(with = "BTreeMap<String, Segment>")]
    pub segments: BTreeMap<RenditionName, Segment>,
    /// Where a reader of the frames topic can start to go on after it, when
    /// the checkpoint moved with this segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RestartPoint")]
    pub restart: Option<RestartPoint>,
}

/// One rendition's segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Media sequence number.
    #[schemars(with = "u64")]
    pub msn: Msn,
    /// The run that completed it, in its name `<msn>-<run>.m4s`.
    #[schemars(with = "u64")]
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
    /// The hash in the name of the init segment it needs, `init-<hash>.mp4`.
    #[schemars(with = "String")]
    pub init: InitHash,
    /// There is no media here: the source had none, or it is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

impl From<&SegmentInfo> for Segment {
    fn from(info: &SegmentInfo) -> Self {
        let SegmentInfo { msn, run, start, duration, bytes, discontinuities, .. } = *info;
        let SegmentInfo { date_ms, gap, .. } = *info;
        let init = info.init.clone();
        Self { msn, run, start, duration, bytes, discontinuities, date_ms, init, gap }
    }
}

/// Where to read on in the frames topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartPoint {
    /// In its partition 0.
    pub offset: i64,
    /// The fold's state there: base64 of a `timeline::Snapshot`.
    pub snapshot: String,
}

/// A viewer has come. Once per visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewerJoined {
    /// The broadcast watched.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub broadcast: Option<BroadcastId>,
    /// The visit.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub session: Uuid,
    /// How it is known: `beacon`, `cmcd` or `guess`.
    pub source: &'static str,
    /// Its rung, where it is known.
    #[schemars(with = "Option<String>")]
    pub rendition: Option<RenditionName>,
}

/// A viewer has gone. Once per visit: who was given up and comes back to it
/// leaves again by the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViewerLeft {
    /// The broadcast watched.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub broadcast: Option<BroadcastId>,
    /// The visit.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub session: Uuid,
    /// The rung it was last on.
    #[schemars(with = "Option<String>")]
    pub rendition: Option<RenditionName>,
    /// Time watched, ms.
    pub watch_ms: u64,
    /// How often playback stood still.
    pub stalls: u32,
    /// Frames its decoder dropped.
    pub dropped_frames: u64,
}

/// A viewer has changed rungs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QualityChanged {
    /// The broadcast watched.
    #[schemars(with = "Option<String>", extend("format" = "uuid"))]
    pub broadcast: Option<BroadcastId>,
    /// The visit.
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub session: Uuid,
    /// The rung until now.
    #[schemars(with = "String")]
    pub from: RenditionName,
    /// The rung from now on.
    #[schemars(with = "String")]
    pub to: RenditionName,
}
