//! The streams this replica follows: started by the first request, dropped
//! when nobody asks any more, bounded in number.

use millrace_platform::report::report;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millrace_media::id::StreamId;
use moka::future::Cache;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::follower::Follower;
use super::snapshot::Snapshot;
use crate::metrics::Metrics;
use crate::origin::Origin;

/// An id of which nothing is known is not looked up again for this long.
const ABSENT: Duration = Duration::from_secs(1);
/// Unknown ids remembered; a stranger can name more, at a look-up each.
const MAX_ABSENT: u64 = 100_000;

/// Why a stream can't be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// Nothing was broadcast under this id.
    #[error("the stream has no broadcast")]
    Absent,
    /// As many streams as allowed are followed.
    #[error("too many streams are watched here")]
    Full,
    /// Neither Redis nor the object store answers.
    #[error("neither Redis nor the object store answers")]
    Behind,
}

/// A followed stream, as a request sees it.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// When it was last asked for.
    pub used: Arc<LastUse>,
}

impl Followed {
    /// The newest snapshot.
    pub fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}

/// The time of a stream's last request.
#[derive(Debug)]
pub struct LastUse {
    start: Instant,
    ms: AtomicU64,
}

impl LastUse {
    fn now() -> Self {
        Self { start: Instant::now(), ms: AtomicU64::new(0) }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn touch(&self) {
        self.ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// How long nobody asked.
    pub fn idle(&self) -> Duration {
        let idle = self.elapsed_ms().saturating_sub(self.ms.load(Ordering::Relaxed));
        Duration::from_millis(idle)
    }
}

/// All followed streams; clones share them.
#[derive(Debug, Clone)]
pub struct Streams {
    origin: Origin,
    metrics: Metrics,
    followed: Cache<StreamId, Followed>,
    absent: Cache<StreamId, ()>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Streams {
    /// Follows nothing yet, and at most `max_streams`. Followers end with
    /// `shutdown`.
    pub fn new(
        origin: Origin,
        metrics: Metrics,
        max_streams: usize,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            origin,
            metrics,
            followed: Cache::builder().build(),
            absent: Cache::builder().max_capacity(MAX_ABSENT).time_to_live(ABSENT).build(),
            places: Arc::new(Semaphore::new(max_streams)),
            tasks: TaskTracker::new(),
            shutdown,
        }
    }

    /// The stream, followed from now on if it was not. Concurrent first
    /// requests share one start.
    pub async fn follow(&self, stream: &StreamId) -> Result<Followed, NotFollowed> {
        if let Some(followed) = self.peek(stream).await {
            followed.used.touch();
            return Ok(followed);
        }
        if self.absent.get(stream).await.is_some() {
            return Err(NotFollowed::Absent);
        }
        let started = self.followed.try_get_with_by_ref(stream, self.start(stream)).await;
        started.map_err(|shared| *shared)
    }

    /// The stream if it is followed; does not count as a request.
    pub async fn peek(&self, stream: &StreamId) -> Option<Followed> {
        let followed = self.followed.get(stream).await?;
        if followed.snapshots.has_changed().is_ok() {
            return Some(followed);
        }
        // Its follower ended.
        self.followed.invalidate(stream).await;
        None
    }

    /// Every followed stream and its snapshot.
    pub fn all(&self) -> Vec<(Arc<StreamId>, Arc<Snapshot>)> {
        self.followed.iter().map(|(stream, followed)| (stream, followed.now())).collect()
    }

    /// Waits until all followers ended; they end with the shutdown.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn start(&self, stream: &StreamId) -> Result<Followed, NotFollowed> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| NotFollowed::Full)?;
        let first = match self.origin.load(stream).await {
            Ok(Some(first)) => Arc::new(first),
            Ok(None) => {
                self.absent.insert(stream.clone(), ()).await;
                return Err(NotFollowed::Absent);
            }
            Err(error) => {
                tracing::warn!(%stream, error = report(&error), "a stream can't be loaded");
                return Err(NotFollowed::Behind);
            }
        };
        let (sender, snapshots) = watch::channel(Arc::clone(&first));
        let used = Arc::new(LastUse::now());
        let follower = Follower::new(
            stream.clone(),
            self.origin.clone(),
            self.metrics.clone(),
            sender,
            Arc::clone(&used),
        );
        let shutdown = self.shutdown.clone();
        let (metrics, register) = (self.metrics.clone(), self.followed.clone());
        let stream = stream.clone();
        self.tasks.spawn(async move {
            metrics.followed.inc();
            shutdown.run_until_cancelled(follower.run()).await;
            metrics.followed.dec();
            // Forgotten before its channel closes, so that a later request
            // starts a new one and this never removes that.
            register.invalidate(&stream).await;
            drop((follower, place));
        });
        Ok(Followed { snapshots, used })
    }
}
