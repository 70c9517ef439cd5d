//! Watches over a key in use, and says when its publisher must go.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_media::id::{KeyId, PublishKey};
use millrace_platform::backoff::Backoff;
use millrace_platform::keys::{Heard, Verdict};
use millrace_platform::report::report;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::Inner;
use crate::refusal::Refusal;
use millrace_platform::wall;

/// How often Postgres is asked about a key in use while announcements are
/// heard: whoever revoked it may not have reached Redis.
const RECHECK: Duration = Duration::from_secs(15);
/// How often while they are not.
const RECHECK_DEAF: Duration = Duration::from_secs(1);

/// The right to publish, as long as the key is good.
#[derive(Debug)]
pub struct Admission {
    over: CancellationToken,
    why: Arc<OnceLock<Refusal>>,
    /// Ends the guard with the publisher.
    _guard: DropGuard,
}

impl Admission {
    /// Resolves when the key is revoked or expires, and says which.
    pub(crate) async fn over(&self) -> Refusal {
        self.over.cancelled().await;
        self.why.get().copied().unwrap_or(Refusal::Revoked)
    }
}

/// What is known of an admitted key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// By a cached verdict alone: Postgres is still to be asked.
    pub(super) unasked: bool,
    /// Not accepted from then on, ms since 1970.
    pub(super) expires_ms: Option<i64>,
}

impl Known {
    /// By this verdict alone.
    pub(super) fn by_cache(verdict: &Verdict) -> Self {
        let expires_ms = match verdict {
            Verdict::Right { expires_ms, .. } => *expires_ms,
            _ => None,
        };
        Self { unasked: true, expires_ms }
    }
}

pub(super) struct Guard {
    inner: Arc<Inner>,
    key: PublishKey,
    expires_ms: Option<i64>,
    /// Its use is noted.
    touched: bool,
    /// Postgres had no such key when it was last asked.
    missed: bool,
    over: CancellationToken,
    why: Arc<OnceLock<Refusal>>,
    stop: CancellationToken,
}

impl Guard {
    /// Sets a guard over a key that was admitted. `heard` since before it was
    /// looked at, so that nothing falls between.
    pub(super) fn set(
        inner: &Arc<Inner>,
        key: &PublishKey,
        known: Known,
        heard: broadcast::Receiver<Heard>,
    ) -> Admission {
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        let why = Arc::default();
        let guard = Self {
            inner: Arc::clone(inner),
            key: key.clone(),
            expires_ms: known.expires_ms,
            touched: false,
            missed: false,
            over: over.clone(),
            why: Arc::clone(&why),
            stop: stop.clone(),
        };
        tokio::spawn(guard.run(heard, known.unasked));
        Admission { over, why, _guard: stop.drop_guard() }
    }

    async fn run(mut self, mut heard: broadcast::Receiver<Heard>, unasked: bool) {
        let (id, stop) = (self.key.id().clone(), self.stop.clone());
        let mut ask = unasked;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Also while Postgres does not answer.
                news = news(&mut heard, &id) => if let News::Revoked = news {
                    info!(key = %id, "the key in use was revoked");
                    return self.end(Refusal::Revoked);
                },
                result = self.look(ask) => if let Err(refusal) = result {
                    info!(key = %id, "the key in use is no longer good: {refusal}");
                    self.inner.contradict(&id, refusal).await;
                    return self.end(refusal);
                },
            }
            ask = true;
        }
    }

    /// Does what there is to do about the key, and then waits until it is time
    /// to ask again.
    async fn look(&mut self, ask: bool) -> Result<(), Refusal> {
        if ask {
            self.ask().await?;
        }
        if !self.touched {
            self.inner.touch(self.key.id()).await;
            self.touched = true;
        }
        let period = if self.inner.hears() { RECHECK } else { RECHECK_DEAF };
        tokio::time::sleep(period.min(self.left())).await;
        Ok(())
    }

    fn end(&self, refusal: Refusal) {
        let why = if refusal == Refusal::Expired { refusal } else { Refusal::Revoked };
        let _ = self.why.set(why);
        self.over.cancel();
    }

    /// Time until the key expires.
    fn left(&self) -> Duration {
        let Some(expires) = self.expires_ms else { return Duration::MAX };
        Duration::from_millis(u64::try_from(expires.saturating_sub(wall::ms())).unwrap_or(0))
    }

    /// Asks Postgres until it answers. While it does not, or has no such key,
    /// the key is as good as it was known to be: rows are revoked and never
    /// deleted, so one that is missing was lost, or is not there yet.
    async fn ask(&mut self) -> Result<(), Refusal> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
        loop {
            let answer = self.inner.examine(&self.key).await;
            match answer.result {
                Ok(Ok(expires_ms)) => {
                    self.expires_ms = expires_ms;
                    self.missed = false;
                    return Ok(());
                }
                Ok(Err(Refusal::Unchecked)) => return Ok(()),
                Ok(Err(refusal)) if answer.exists => return Err(refusal),
                _ if self.left().is_zero() => return Err(Refusal::Expired),
                Ok(Err(_)) => {
                    if !self.missed {
                        warn!(key = %self.key.id(), "Postgres does not know the key in use");
                    }
                    self.missed = true;
                    return Ok(());
                }
                Err(error) => {
                    if backoff.attempts() == 0 {
                        warn!("a key in use can't be checked: {}", report(&error));
                    }
                    tokio::time::sleep(backoff.next_delay().min(self.left())).await;
                }
            }
        }
    }
}

/// What an announcement means for a key in use.
enum News {
    Revoked,
    /// Postgres has to be asked.
    Ask,
}

/// The next announcement that means something for this key.
async fn news(heard: &mut broadcast::Receiver<Heard>, key: &KeyId) -> News {
    loop {
        match heard.recv().await {
            Ok(Heard::Revoked(id)) if id == *key => return News::Revoked,
            Ok(Heard::Changed(id)) if id == *key => return News::Ask,
            Ok(Heard::Revoked(_) | Heard::Changed(_)) => {}
            Ok(Heard::Listening | Heard::Deaf) | Err(broadcast::error::RecvError::Lagged(_)) => {
                return News::Ask;
            }
            // The process ends.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
