//! The durable path: segments and init segments to the object store.
//!
//! One task per rendition drains its lane in order and tells the archive. A
//! store that is away stops nothing live: uploads wait, bounded; what no longer
//! fits is recorded as missing.

use std::sync::Arc;

use bytes::Bytes;
use millrace_media::published::{InitHash, SegmentInfo};
use millrace_media::time::Ticks;
use millrace_platform::report::report;
use tokio::sync::mpsc;

use super::archive::Note;
use super::lane::{Item, Lane, Limit};
use super::redis::live_backoff;
use crate::services::{Place, Services};

/// Bytes that wait for the store per rendition: 7 minutes at 3 Mb/s.
const LIMIT_BYTES: usize = 160 << 20;

/// What waits for the store: no more than half the replay window, so that the
/// checkpoint, which follows the slowest rendition, never falls out of the log.
pub fn limit(replay_window: Ticks, segment: Ticks) -> Limit {
    let half = replay_window.0 / 2 / segment.0.max(1);
    Limit { bytes: LIMIT_BYTES, items: usize::try_from(half).unwrap_or(1).max(1) }
}

/// One thing to store.
#[derive(Debug, Clone)]
pub enum StoreOp {
    /// An init segment.
    Init {
        /// Its name.
        hash: InitHash,
        /// Its content.
        bytes: Bytes,
    },
    /// A segment.
    Segment {
        /// Its description.
        info: SegmentInfo,
        /// Its content; `None` when it had to be given up.
        bytes: Option<Bytes>,
    },
}

impl Item for StoreOp {
    fn weight(&self) -> usize {
        match self {
            Self::Init { bytes, .. } => bytes.len(),
            Self::Segment { bytes, .. } => bytes.as_ref().map_or(0, Bytes::len),
        }
    }

    fn shrink(&mut self) -> bool {
        if let Self::Segment { bytes, .. } = self {
            *bytes = None;
        }
        true
    }
}

/// Drains a rendition's lane until it is closed and empty.
pub async fn drain(
    services: Services,
    place: Place,
    lane: Arc<Lane<StoreOp>>,
    notes: mpsc::Sender<Note>,
) {
    let mut backoff = live_backoff();
    while let Some(op) = lane.pop().await {
        let note = match &op {
            StoreOp::Segment { info, bytes: None } => {
                if !info.gap {
                    tracing::error!(rendition = %place.rendition, msn = %info.msn, "segment not stored");
                    services.metrics.missing();
                }
                // The index says so too: it has no holes.
                let gap = SegmentInfo { gap: true, bytes: 0, ..info.clone() };
                Some(Note::Stored(place.rendition.clone(), gap))
            }
            _ => match services.store(&place, &op).await {
                Ok(()) => match op {
                    StoreOp::Segment { info, .. } => {
                        Some(Note::Stored(place.rendition.clone(), info))
                    }
                    StoreOp::Init { .. } => None,
                },
                Err(error) => {
                    let wait = backoff.next_delay();
                    tracing::warn!(rendition = %place.rendition, error = report(&error), ?wait, "upload failed");
                    lane.put_back([op]);
                    tokio::time::sleep(wait).await;
                    continue;
                }
            },
        };
        backoff.reset();
        if let Some(note) = note {
            // A closed archive means the session is over.
            let _ = notes.send(note).await;
        }
        lane.done();
    }
}
