//! The task that keeps one stream's snapshot up to date: by Redis's tail while
//! Redis answers, by the object store's index while it does not.

use millrace_platform::report::report;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::redis::RedisError;
use millrace_platform::redis::media::EntryId;
use tokio::sync::watch;
use tokio::time::sleep;

use super::snapshot::Snapshot;
use super::streams::LastUse;
use super::view::View;
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::stored::Stored;

/// A stream nobody asked for in this time is no longer followed.
const IDLE: Duration = Duration::from_mins(1);
/// How often the broadcast's key is read: so late is a new broadcast noticed.
const LOOK: Duration = Duration::from_secs(1);
/// How often the index is read while Redis is away.
const STORE_PERIOD: Duration = Duration::from_secs(1);
/// A short loss of Redis (a restart, a dropped connection) is not yet degraded.
const RECONNECT: Duration = Duration::from_millis(100);

/// Why following Redis stopped.
enum Stop {
    Idle,
    NewBroadcast,
}

/// Follows one stream until nobody asks for it.
#[derive(Debug)]
pub struct Follower {
    stream: StreamId,
    origin: Origin,
    metrics: Metrics,
    sender: watch::Sender<Arc<Snapshot>>,
    used: Arc<LastUse>,
}

impl Follower {
    /// A follower whose sender holds the first snapshot.
    pub fn new(
        stream: StreamId,
        origin: Origin,
        metrics: Metrics,
        sender: watch::Sender<Arc<Snapshot>>,
        used: Arc<LastUse>,
    ) -> Self {
        Self { stream, origin, metrics, sender, used }
    }

    /// Follows until idle.
    #[tracing::instrument(name = "follow", skip_all, fields(stream = %self.stream))]
    pub async fn run(&self) {
        tracing::info!(broadcast = %self.now().current.broadcast(), "follows");
        if self.now().degraded {
            self.metrics.degraded.inc();
        }
        loop {
            match self.follow_redis().await {
                Ok(Stop::Idle) => break,
                Ok(Stop::NewBroadcast) => {}
                Err(error) => {
                    tracing::warn!(error = report(&error), "Redis does not answer");
                    sleep(RECONNECT).await;
                    if self.follow_store().await {
                        break;
                    }
                }
            }
        }
        tracing::info!("nobody watches; no longer follows");
    }

    fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.sender.borrow())
    }

    fn idle(&self) -> bool {
        self.used.idle() > IDLE
    }

    /// Applies what the tail brings until idle or a new broadcast.
    async fn follow_redis(&self) -> Result<Stop, RedisError> {
        let current = Arc::clone(&self.now().current);
        let cursors = current
            .windows()
            .map(|(name, window)| {
                let (msn, sequence) = window.last_id().unwrap_or_default();
                (name.clone(), EntryId { msn, sequence })
            })
            .collect();
        let mut tail = self.origin.media.tail(&self.stream, current.broadcast(), cursors);
        let mut look = tokio::time::interval(LOOK);
        loop {
            let mut more = pin!(tail.next());
            let batch = loop {
                tokio::select! {
                    batch = &mut more => break batch?,
                    _ = look.tick() => {
                        if self.idle() {
                            return Ok(Stop::Idle);
                        }
                        if self.look_for_a_new_broadcast().await? {
                            return Ok(Stop::NewBroadcast);
                        }
                        self.set_degraded(false);
                    }
                }
            };
            let view = Arc::clone(&self.now().current);
            if let Some(next) = view.after(batch.iter().map(|(name, entry)| (name, entry))) {
                self.show(next);
            }
        }
    }

    async fn look_for_a_new_broadcast(&self) -> Result<bool, RedisError> {
        let now = self.now();
        let found = self.origin.media.get_broadcast(&self.stream).await?;
        // Ids of broadcasts grow: an older one is a restored key, not news.
        let Some(info) = found.filter(|i| i.broadcast > now.current.broadcast()) else {
            return Ok(false);
        };
        tracing::info!(broadcast = %info.broadcast, "a new broadcast began");
        let view = self.origin.load_redis(info).await?;
        self.sender.send_replace(Arc::new(succeed(&now, view)));
        Ok(true)
    }

    /// Reads the index until Redis answers (false) or idle (true).
    async fn follow_store(&self) -> bool {
        loop {
            if self.idle() {
                return true;
            }
            if self.origin.media.get_broadcast(&self.stream).await.is_ok() {
                tracing::info!("Redis answers again");
                return false;
            }
            if !self.now().degraded {
                tracing::warn!("reads the object store until Redis is back");
            }
            self.set_degraded(true);
            match self.origin.load_store(&self.stream).await {
                Ok(Some(stored)) => self.adopt(stored),
                Ok(None) => {}
                Err(error) => tracing::warn!(
                    error = report(&error),
                    "the object store does not answer either"
                ),
            }
            sleep(STORE_PERIOD).await;
        }
    }

    /// Takes what the index knows and the snapshot does not.
    fn adopt(&self, stored: Stored) {
        let now = self.now();
        if stored.info.broadcast > now.current.broadcast() {
            self.sender.send_replace(Arc::new(succeed(&now, stored.into_view())));
        } else if stored.info.broadcast == now.current.broadcast()
            && let Some(next) = now.current.after(stored.entries.iter().map(|(n, e)| (n, e)))
        {
            self.show(next);
        }
    }

    fn show(&self, view: View) {
        self.sender.send_modify(|shown| {
            *shown = Arc::new(Snapshot { current: Arc::new(view), ..Snapshot::clone(shown) });
        });
    }

    fn set_degraded(&self, degraded: bool) {
        let changed = self.sender.send_if_modified(|shown| {
            let changed = shown.degraded != degraded;
            if changed {
                *shown = Arc::new(Snapshot { degraded, ..Snapshot::clone(shown) });
            }
            changed
        });
        match (changed, degraded) {
            (true, true) => self.metrics.degraded.inc(),
            (true, false) => self.metrics.degraded.dec(),
            (false, _) => 0,
        };
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.set_degraded(false);
    }
}

/// The snapshot with `next` as the current broadcast and the one until now
/// behind it, ended.
fn succeed(now: &Snapshot, next: View) -> Snapshot {
    let last = now.current.ended().map_or_else(|| Arc::clone(&now.current), Arc::new);
    Snapshot { current: Arc::new(next), previous: Some(last), degraded: now.degraded }
}
