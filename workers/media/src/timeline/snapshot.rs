//! The fold's state, small enough to travel with a checkpoint.
//!
//! Versioned JSON; well under 1 KB with the configurations of a usual source.
//! The broker takes 4,096 bytes of base64.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::continuity::{Continuity, Settled};
use super::grid::Grid;
use super::{Base, Broadcast, Timeline};
use crate::avc::AvcConfig;
use crate::flv::AudioTag;
use crate::id::{BroadcastId, Epoch};
use crate::record::Open;
use crate::time::Ticks;

/// The version this code writes.
const VERSION: u32 = 1;
/// No snapshot is taken with a video tag longer than this: its header and the
/// longest record that ingest lets in.
const MAX_VIDEO_CONFIG: usize = 5 + AvcConfig::MAX_LEN;

/// Why bytes are no snapshot of ours.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not the JSON it should be.
    #[error("snapshot: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by another version.
    #[error("snapshot version {0} is not {VERSION}")]
    Version(u32),
    /// A sample rate outside [`crate::aac::AacConfig::SAMPLE_RATES`].
    #[error("snapshot: no sound has its sample rate")]
    SampleRate,
    /// A base opens at a keyframe, which needs one.
    #[error("snapshot: a base without a video configuration")]
    NoVideoConfig,
}

/// The state of a [`Timeline`] between two records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    version: u32,
    segment: Ticks,
    epoch: Epoch,
    nonce: Option<Uuid>,
    ended: Option<BroadcastId>,
    broadcast: Option<Saved>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    facts: Open,
    base: Option<Base>,
    bases: u32,
    end: Ticks,
    #[serde(default)]
    last_picture: Option<Ticks>,
    #[serde(flatten)]
    settled: Settled,
    video_step_ms: i64,
    grid: Option<Grid>,
    #[serde(default)]
    foreign_sound: bool,
    video_config: Option<String>,
    audio_config: Option<String>,
}

impl Snapshot {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let snapshot: Self = serde_json::from_slice(bytes)?;
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        let grid = snapshot.broadcast.as_ref().and_then(|b| b.grid);
        if grid.is_some_and(|grid| !grid.is_usable()) {
            return Err(SnapshotError::SampleRate);
        }
        let based = snapshot.broadcast.as_ref().filter(|b| b.base.is_some());
        if based.is_some_and(|b| load(b.video_config.as_deref()).is_none()) {
            return Err(SnapshotError::NoVideoConfig);
        }
        Ok(snapshot)
    }

    /// The broadcast that was open.
    pub fn broadcast(&self) -> Option<BroadcastId> {
        self.broadcast.as_ref().map(|b| b.facts.broadcast)
    }

    /// Where the next audio frame goes, if sound was running: the sound of a
    /// reader that starts here begins no earlier.
    pub fn audio_resumes_at(&self) -> Option<Ticks> {
        self.broadcast.as_ref()?.grid.map(|g| g.resumes_at())
    }
}

fn save(config: Option<&Bytes>) -> Option<String> {
    use base64::Engine;
    Some(base64::engine::general_purpose::STANDARD.encode(config?))
}

fn fits(config: Option<&Bytes>, max: usize) -> bool {
    config.is_none_or(|bytes| bytes.len() <= max)
}

fn load(config: Option<&str>) -> Option<Bytes> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(config?).ok().map(Bytes::from)
}

impl Timeline {
    /// The state as it is between two records; `None` while frames are held,
    /// because a snapshot holds none.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let broadcast = match &self.broadcast {
            None => None,
            Some(b) => {
                let settled = b.continuity.settled()?;
                let fit = fits(b.video_config.as_ref(), MAX_VIDEO_CONFIG)
                    && fits(b.audio_config.as_ref(), AudioTag::MAX_CONFIG);
                if !b.waiting.is_empty() || !fit {
                    return None;
                }
                Some(Saved {
                    facts: b.facts.clone(),
                    base: b.base,
                    bases: b.bases,
                    end: b.end,
                    last_picture: b.last_picture,
                    settled,
                    video_step_ms: b.video_step_ms,
                    grid: b.grid,
                    foreign_sound: b.foreign_sound,
                    video_config: save(b.video_config.as_ref()),
                    audio_config: save(b.audio_config.as_ref()),
                })
            }
        };
        Some(Snapshot {
            version: VERSION,
            segment: self.broadcast.as_ref().map_or(self.segment, |b| b.segment),
            epoch: self.epoch,
            nonce: self.nonce,
            ended: self.ended,
            broadcast,
        })
    }

    /// A fold that goes on behind a gap in the log: as
    /// [`Timeline::restore`], but what was open is closed and what comes is
    /// placed after it.
    pub fn restore_after_loss(
        mut snapshot: Snapshot,
        segment: Ticks,
        out: &mut Vec<super::Event>,
    ) -> Self {
        if let Some(broadcast) = &mut snapshot.broadcast {
            broadcast.base = None;
            broadcast.settled = Settled::default();
        }
        let mut timeline = Self::restore(snapshot, segment, out);
        if let Some(broadcast) = &mut timeline.broadcast {
            broadcast.partial = true;
        }
        timeline
    }

    /// A fold of a log that was made anew: as [`Timeline::restore_after_loss`],
    /// but its epochs begin anew too.
    pub fn restore_in_a_new_log(
        mut snapshot: Snapshot,
        segment: Ticks,
        out: &mut Vec<super::Event>,
    ) -> Self {
        (snapshot.epoch, snapshot.nonce) = (Epoch(0), None);
        Self::restore_after_loss(snapshot, segment, out)
    }

    /// A fold that goes on where the snapshot was taken. The events a reader
    /// missed are said again: [`super::Event::Started`], and the base with its
    /// configurations if one was open. The broadcast that was open keeps its
    /// segment duration, those after it have `segment`.
    pub fn restore(snapshot: Snapshot, segment: Ticks, out: &mut Vec<super::Event>) -> Self {
        let kept = Ticks(snapshot.segment.0.max(1));
        let mut timeline = Self::new(segment);
        timeline.epoch = snapshot.epoch;
        timeline.nonce = snapshot.nonce;
        timeline.ended = snapshot.ended;
        timeline.broadcast = snapshot.broadcast.map(|saved| Broadcast {
            facts: saved.facts,
            segment: kept,
            base: saved.base,
            bases: saved.bases,
            end: saved.end,
            last_picture: saved.last_picture,
            continuity: Continuity::restore(saved.settled),
            video_step_ms: saved.video_step_ms,
            grid: saved.grid,
            foreign_sound: saved.foreign_sound,
            video_config: load(saved.video_config.as_deref()),
            audio_config: load(saved.audio_config.as_deref()),
            waiting: std::collections::VecDeque::new(),
            partial: false,
        });
        if let Some(broadcast) = &timeline.broadcast {
            out.push(super::Event::Started(broadcast.facts.clone()));
            if let Some(base) = broadcast.base {
                out.push(super::Event::Base(base));
                out.extend(broadcast.video_config.clone().map(super::Event::VideoConfig));
                out.extend(broadcast.audio_config.clone().map(super::Event::AudioConfig));
            }
        }
        timeline
    }
}
