//! The fast path: parts, segments and playlist entries to Redis.
//!
//! One task per rendition drains its lane in order. While Redis is away items
//! wait; the oldest parts give way first, because their segment follows them.
//! When Redis has come back empty, the window is listed again before anything
//! new.

use millrace_platform::report::report;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use millrace_media::published::{BroadcastInfo, Entry, InitHash, PartInfo, SegmentInfo};
use millrace_platform::backoff::Backoff;
use tokio::sync::watch;

use super::lane::{Item, Lane, Limit};
use crate::services::{Place, PublishError, Services};

/// What waits for Redis per rendition: about 90 s of a 5 Mb/s rung.
pub const LIMIT: Limit = Limit { bytes: 64 << 20, items: usize::MAX };
/// Segments listed again when Redis has lost them.
const WINDOW: usize = 300;

/// One thing to publish.
#[derive(Debug, Clone)]
pub enum RedisOp {
    /// An init segment.
    Init {
        /// Its name.
        hash: InitHash,
        /// Its content.
        bytes: Bytes,
    },
    /// A part.
    Part {
        /// Its description.
        info: PartInfo,
        /// Its content.
        bytes: Bytes,
    },
    /// A complete segment.
    Segment {
        /// Its description.
        info: SegmentInfo,
        /// Its parts, which now may expire.
        parts: Vec<PartInfo>,
        /// Its content; `None` when only the entry is still of use.
        bytes: Option<Bytes>,
    },
}

impl Item for RedisOp {
    fn weight(&self) -> usize {
        match self {
            Self::Init { bytes, .. } | Self::Part { bytes, .. } => bytes.len(),
            Self::Segment { bytes, .. } => bytes.as_ref().map_or(0, Bytes::len),
        }
    }

    fn shrink(&mut self) -> bool {
        match self {
            Self::Part { .. } => false,
            Self::Segment { bytes, .. } => {
                *bytes = None;
                true
            }
            Self::Init { .. } => true,
        }
    }
}

/// The waits between tries of a live writer.
pub fn live_backoff() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(2))
}

/// Drains one rendition's lane.
pub struct Drain {
    /// The world.
    pub services: Services,
    /// Whose lane it is.
    pub place: Place,
    /// What to publish.
    pub lane: Arc<Lane<RedisOp>>,
    /// Nothing is published before the broadcast's description is.
    pub open: watch::Receiver<bool>,
    /// That description.
    pub info: Arc<OnceLock<BroadcastInfo>>,
}

impl Drain {
    /// Publishes until the lane is closed and empty.
    ///
    /// # Errors
    /// When another writer has taken the stream: this one must stop.
    pub async fn run(mut self) -> Result<(), PublishError> {
        if self.open.wait_for(|open| *open).await.is_err() {
            return Ok(());
        }
        let mut backoff = live_backoff();
        let mut init = None;
        let mut window = VecDeque::new();
        while let Some(op) = self.lane.pop().await {
            let mut published = self.services.publish(&self.place, &op).await;
            if matches!(published, Err(PublishError::LeaseLost)) {
                published = self.recover(init.as_ref(), window.make_contiguous()).await;
                if published.is_ok() {
                    published = self.services.publish(&self.place, &op).await;
                }
            }
            match published {
                Ok(()) => {
                    match op {
                        RedisOp::Init { .. } => init = Some(op),
                        RedisOp::Segment { info, .. } => remember(&mut window, info),
                        RedisOp::Part { .. } => {}
                    }
                    self.lane.done();
                    backoff.reset();
                }
                Err(error @ PublishError::Fenced { .. }) => return Err(error),
                Err(error) => {
                    let wait = backoff.next_delay();
                    tracing::warn!(rendition = %self.place.rendition, error = report(&error), ?wait, "not published");
                    self.lane.put_back(op);
                    tokio::time::sleep(wait).await;
                }
            }
        }
        Ok(())
    }

    /// Takes the lease again and writes what Redis may have lost.
    async fn recover(&self, init: Option<&RedisOp>, window: &[Entry]) -> Result<(), PublishError> {
        tracing::warn!(rendition = %self.place.rendition, "listing the window again");
        self.services.reclaim(self.place.broadcast).await?;
        if let Some(info) = self.info.get() {
            self.services.put_broadcast(info).await?;
        }
        if let Some(init) = init {
            self.services.publish(&self.place, init).await?;
        }
        self.services.restore(&self.place, window).await
    }
}

fn remember(window: &mut VecDeque<Entry>, segment: SegmentInfo) {
    if window.len() == WINDOW {
        window.pop_front();
    }
    window.push_back(Entry::Segment(segment));
}
