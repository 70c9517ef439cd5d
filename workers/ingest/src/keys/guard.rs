//! Watches over a key in use, and says when its publisher must go.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use millrace_media::id::PublishKey;
use millrace_platform::backoff::Backoff;
use millrace_platform::keys::Heard;
use millrace_platform::report::report;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::Inner;
use crate::clock::wall_ms;
use crate::refusal::Refusal;

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

pub(super) struct Guard {
    inner: Arc<Inner>,
    key: PublishKey,
    expires_ms: Option<i64>,
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
            over: over.clone(),
            why: Arc::clone(&why),
            stop: stop.clone(),
        };
        tokio::spawn(guard.run(heard, known.unasked));
        Admission { over, why, _guard: stop.drop_guard() }
    }

    async fn run(mut self, mut heard: broadcast::Receiver<Heard>, unasked: bool) {
        let mut ask = unasked;
        let mut touched = false;
        loop {
            if ask && let Err(refusal) = self.ask().await {
                info!(key = %self.key.id(), "the key in use is no longer good: {refusal}");
                self.inner.contradict(self.key.id(), refusal).await;
                return self.end(refusal);
            }
            if !touched {
                touched = true;
                self.inner.touch(self.key.id()).await;
            }
            let period = if self.inner.hears() { RECHECK } else { RECHECK_DEAF };
            ask = tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(period.min(self.left())) => true,
                heard = heard.recv() => match heard {
                    Ok(Heard::Revoked(id)) if id == *self.key.id() => {
                        info!(key = %id, "the key in use was revoked");
                        return self.end(Refusal::Revoked);
                    }
                    Ok(Heard::Changed(id)) => id == *self.key.id(),
                    Ok(Heard::Revoked(_)) => false,
                    Ok(Heard::Listening | Heard::Deaf)
                    | Err(broadcast::error::RecvError::Lagged(_)) => true,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
        }
    }

    fn end(&self, refusal: Refusal) {
        let _ = self.why.set(refusal);
        self.over.cancel();
    }

    /// Time until the key expires.
    fn left(&self) -> Duration {
        let Some(expires) = self.expires_ms else { return Duration::MAX };
        Duration::from_millis(u64::try_from(expires.saturating_sub(wall_ms())).unwrap_or(0))
    }

    /// Asks Postgres until it answers or the publisher is gone. While it does
    /// not, the key is as good as it was known to be.
    async fn ask(&mut self) -> Result<(), Refusal> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
        loop {
            let answer = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                answer = self.inner.examine(&self.key) => answer,
            };
            match answer.result {
                Ok(Ok(expires_ms)) => {
                    self.expires_ms = expires_ms;
                    return Ok(());
                }
                Ok(Err(Refusal::Unchecked)) => return Ok(()),
                Ok(Err(refusal @ (Refusal::Revoked | Refusal::Expired))) => return Err(refusal),
                // Its row is gone, or has another secret.
                Ok(Err(_)) => return Err(Refusal::Revoked),
                Err(_) if self.left().is_zero() => return Err(Refusal::Expired),
                Err(error) => {
                    if backoff.attempts() == 0 {
                        warn!("a key in use can't be checked: {}", report(&error));
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(backoff.next_delay().min(self.left())) => {}
                    }
                }
            }
        }
    }
}
