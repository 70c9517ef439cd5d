//! The fast path: parts, segments and playlist entries to Redis.
//!
//! One task per rendition drains its lane in order. While Redis is away items
//! wait; the oldest parts give way first, because their segment follows them.
//! When Redis has come back empty, the window is listed again before anything
//! new, with the parts of the segment that grows.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use millrace_media::hls::Window;
use millrace_media::id::Msn;
use millrace_media::published::{BroadcastInfo, Entry, InitHash, PartInfo, SegmentInfo};
use millrace_platform::backoff::Backoff;
use millrace_platform::redis::media::EntryId;
use millrace_platform::report::report;
use tokio::sync::watch;

use super::lane::{Item, Lane, Limit};
use crate::services::{Place, PublishError, Services};

/// What waits for Redis per rendition: about 90 s of a 5 Mb/s rung.
pub const LIMIT: Limit = Limit { bytes: 64 << 20, items: usize::MAX };
/// What is published in one round trip: about three seconds of parts, so that a
/// Redis that is far away is kept up with; small enough for its answer to come
/// in time.
const BATCH: Limit = Limit { bytes: 1 << 20, items: 16 };
/// Parts published again in one round trip.
const AGAIN: usize = 4;
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

impl RedisOp {
    /// What it adds to the playlist.
    fn entry(&self) -> Option<Entry> {
        match self {
            Self::Init { .. } => None,
            Self::Part { info, .. } => Some(Entry::Part(info.clone())),
            Self::Segment { info, .. } => Some(Entry::Segment(info.clone())),
        }
    }
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
    /// The last entry that was known when this writer began,
    pub read: Option<EntryId>,
    /// the segments then listed,
    pub listed: Vec<Entry>,
    /// and the parts of the segment that was open.
    pub open_parts: Vec<(PartInfo, Bytes)>,
}

impl Drain {
    /// Publishes until the lane is closed and empty. What Redis takes no more of,
    /// being at a later broadcast, is let go.
    ///
    /// # Errors
    /// When another writer has taken the stream, or had it until now: this one
    /// must stop, or begin anew.
    pub async fn run(mut self) -> Result<(), PublishError> {
        if self.open.wait_for(|open| *open).await.is_err() {
            return Ok(());
        }
        let mut known = Known { last: self.read, reach: self.reach(), ..Known::default() };
        for entry in std::mem::take(&mut self.listed) {
            known.list(entry);
        }
        for (info, bytes) in std::mem::take(&mut self.open_parts) {
            known.open.push(RedisOp::Part { info, bytes });
        }
        let mut backoff = live_backoff();
        while let Some(ops) = self.lane.pop_some(BATCH).await {
            let mut left = VecDeque::from(ops);
            let published = self.publish(&mut left, &mut known).await;
            if left.is_empty() {
                self.lane.done();
            } else {
                self.lane.put_back(left);
            }
            match published {
                Ok(()) => backoff.reset(),
                Err(error @ (PublishError::Fenced { .. } | PublishError::Stale { .. })) => {
                    return Err(error);
                }
                Err(error @ PublishError::Superseded { .. }) => {
                    tracing::warn!(rendition = %self.place.rendition, error = report(&error), "only stored from here on");
                    while self.lane.pop_some(BATCH).await.is_some() {
                        self.lane.done();
                    }
                }
                Err(error) => {
                    let wait = backoff.next_delay();
                    tracing::warn!(rendition = %self.place.rendition, error = report(&error), ?wait, "not published");
                    tokio::time::sleep(wait).await;
                }
            }
        }
        Ok(())
    }

    /// What a playlist of this rendition lists, before anything is.
    fn reach(&self) -> Option<Window> {
        let info = self.info.get()?;
        Some(Window::new(info, info.rendition(&self.place.rendition)?))
    }

    /// Publishes these in one round trip, and takes away those that are out.
    /// After a window that had to be listed again some may be left.
    async fn publish(
        &self,
        left: &mut VecDeque<RedisOp>,
        known: &mut Known,
    ) -> Result<(), PublishError> {
        let (ops, first) = (left.make_contiguous(), known.first());
        let outcomes = self.services.publish(&self.place, ops, known.last, first).await?;
        for outcome in outcomes {
            match outcome {
                Ok(Some(there)) if Some(EntryId::of(&there)) > self.read => {
                    let Place { broadcast, rendition } = self.place.clone();
                    return Err(PublishError::Stale { broadcast, rendition });
                }
                Ok(_) => {
                    if let Some(op) = left.pop_front() {
                        known.add(op);
                    }
                }
                Err(PublishError::LeaseLost) => {
                    self.recover(known).await?;
                    // What comes next follows whatever could be listed again.
                    known.last = None;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes the lease again and writes what Redis has lost.
    async fn recover(&self, known: &mut Known) -> Result<(), PublishError> {
        tracing::warn!(rendition = %self.place.rendition, "listing the window again");
        self.services.reclaim(self.place.broadcast).await?;
        if let Some(info) = self.info.get() {
            self.services.put_broadcast(info).await?;
        }
        self.services.restore(&self.place, known.window.make_contiguous()).await?;
        let mut gone: VecDeque<_> = known.init.iter().chain(&known.open).cloned().collect();
        while !gone.is_empty() {
            let some: Vec<_> = gone.iter().take(AGAIN).cloned().collect();
            let first = known.first();
            for outcome in self.services.publish(&self.place, &some, None, first).await? {
                outcome?;
                gone.pop_front();
            }
        }
        Ok(())
    }
}

/// What Redis has, as far as is known.
#[derive(Debug, Default)]
struct Known {
    init: Option<RedisOp>,
    /// The segments that are listed,
    window: VecDeque<Entry>,
    /// and the parts that no segment follows yet.
    open: Vec<RedisOp>,
    /// What of them playlists list still.
    reach: Option<Window>,
    /// The last entry.
    last: Option<EntryId>,
}

impl Known {
    /// It was published.
    fn add(&mut self, op: RedisOp) {
        self.last = self.last.max(op.entry().as_ref().map(EntryId::of));
        match op {
            RedisOp::Init { .. } => self.init = Some(op),
            RedisOp::Part { .. } => self.open.push(op),
            RedisOp::Segment { info, .. } => {
                self.open.clear();
                self.list(Entry::Segment(info));
            }
        }
    }

    /// The first segment that a playlist may list: by lengths, as playlists go, not by numbers. Short
    /// ones, as before discontinuities, make more of them. A replica that reads what Redis has is to
    /// list what one lists that has followed for long.
    fn first(&self) -> Msn {
        let range = self.reach.as_ref().and_then(Window::complete_range);
        range.map_or(Msn(0), |(first, _)| first)
    }

    fn list(&mut self, segment: Entry) {
        if let Some(reach) = &mut self.reach {
            reach.apply(&segment);
        }
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(segment);
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::id::{BroadcastId, Run};
    use millrace_media::published::{Access, FrameRate, RenditionInfo, RenditionKind};
    use millrace_media::time::Ticks;

    use super::*;

    fn info() -> BroadcastInfo {
        let rendition = RenditionInfo {
            name: "720p".parse().unwrap(),
            kind: RenditionKind::Video { width: 1_280, height: 720 },
            codecs: String::new(),
            timescale: 90_000,
            bandwidth: 1,
            average_bandwidth: 1,
        };
        BroadcastInfo {
            stream: "a.b".parse().unwrap(),
            broadcast: BroadcastId(uuid::Uuid::nil()),
            started_ms: 0,
            segment_duration: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(20_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: vec![rendition],
            ended: false,
            access: Access::default(),
        }
    }

    /// 2 s long, but for some that a discontinuity cut after 0.4 s.
    fn segment(msn: u64) -> Entry {
        Entry::Segment(SegmentInfo {
            msn: Msn(msn),
            run: Run(0),
            start: i64::try_from(msn).unwrap() * 180_000,
            duration: if [14, 17, 23].contains(&msn) { 36_000 } else { 180_000 },
            bytes: 10,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b""),
            gap: false,
            base: None,
        })
    }

    #[test]
    fn what_stays_in_redis_is_all_that_a_replica_lists_which_has_followed_from_the_start() {
        let info = info();
        let window = || Window::new(&info, &info.renditions[0]);
        let mut known = Known { reach: Some(window()), ..Known::default() };
        let mut followed = window();
        for msn in 0..40 {
            let kept_from = known.first();
            known.list(segment(msn));
            followed.apply(&segment(msn));
            let mut begun_now = window();
            for left in kept_from.0..=msn {
                begun_now.apply(&segment(left));
            }
            assert_eq!(begun_now.complete_range(), followed.complete_range(), "at {msn}");
            // No more is kept than what the new one pushes out.
            let listed = followed.complete_range().unwrap().0;
            assert!(listed.0 <= kept_from.0 + 2, "{listed:?} of {kept_from:?}");
        }
    }

    #[test]
    fn nothing_leaves_before_it_is_known_what_is_listed() {
        assert_eq!(Known::default().first(), Msn(0));
    }
}
