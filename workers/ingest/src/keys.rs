//! Who may publish: the verdict cache, Postgres behind it, and what happens to
//! a publisher whose key stops being good.
//!
//! A cached verdict admits at once and Postgres is asked behind it; without one
//! Postgres decides. So Redis may be away, and for a known key Postgres may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_media::id::{KeyId, PublishKey, StreamId};
use millrace_platform::backoff::Backoff;
use millrace_platform::breaker::Breaker;
use millrace_platform::keys::{Answer, Hasher, Revocation, Revocations, Verdict, Verdicts};
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::keys::{Keys as KeyTable, StoredKey};
use millrace_platform::report::report;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use crate::clock::wall_ms;
use crate::refusal::Refusal;

/// How often Postgres is asked about a key in use: announcements can be missed.
const RECHECK: Duration = Duration::from_mins(1);
/// How long the cache may take before Postgres is asked instead.
const CACHE: Duration = Duration::from_millis(500);

/// The right to publish, as long as the key is good.
#[derive(Debug)]
pub struct Admission {
    /// Cancelled when the key is revoked or expires.
    pub revoked: CancellationToken,
    /// Ends the guard with the publisher.
    _guard: DropGuard,
}

/// Checks the publish keys of one stream.
#[derive(Debug, Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stream: StreamId,
    verdicts: Verdicts,
    cache: Breaker,
    table: KeyTable,
    hasher: Hasher,
    heard: broadcast::Sender<Revocation>,
}

impl Keys {
    /// For this stream.
    pub fn new(stream: StreamId, verdicts: Verdicts, table: KeyTable) -> Self {
        let cache = Breaker::new(3, Duration::from_secs(5));
        let (hasher, heard) = (Hasher::default(), broadcast::Sender::new(64));
        Self { inner: Arc::new(Inner { stream, verdicts, cache, table, hasher, heard }) }
    }

    /// Says whether this key may publish now.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub async fn check(&self, key: &PublishKey) -> Result<Admission, Refusal> {
        let inner = &self.inner;
        // From here on, so that no revocation falls between check and guard.
        let heard = inner.heard.subscribe();
        let known = match inner.cached(key.id()).await {
            Some(verdict) => match verdict.answer(key, &inner.stream, wall_ms()) {
                Answer::Accepted => true,
                Answer::OtherStream => return Err(Refusal::OtherStream),
                Answer::Expired => return Err(Refusal::Expired),
                Answer::Unknown => return Err(Refusal::WrongKey),
                // The secret may be a newer one.
                Answer::WrongSecret => false,
            },
            None => false,
        };
        if !known {
            match inner.ask_postgres(key).await {
                Ok(answer) => answer?,
                Err(error) => {
                    warn!(key = %key.id(), "a key can't be checked: {:#}", report(&error));
                    return Err(Refusal::Unchecked);
                }
            }
        }
        let (revoked, stop) = (CancellationToken::new(), CancellationToken::new());
        let guard = Guard {
            inner: Arc::clone(inner),
            key: key.clone(),
            revoked: revoked.clone(),
            stop: stop.clone(),
        };
        tokio::spawn(guard.run(heard, known));
        Ok(Admission { revoked, _guard: stop.drop_guard() })
    }

    /// Hears of revoked keys until `stop`.
    pub(crate) async fn listen(&self, mut revocations: Revocations, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Nobody listening is fine: no publisher, no key in use.
                heard = revocations.next() => drop(self.inner.heard.send(heard)),
            }
        }
    }
}

impl Inner {
    async fn cached(&self, id: &KeyId) -> Option<Verdict> {
        if !self.cache.allows(Instant::now()) {
            return None;
        }
        match tokio::time::timeout(CACHE, self.verdicts.get(id)).await {
            Ok(Ok(verdict)) => {
                self.cache.succeeded();
                verdict
            }
            Ok(Err(error)) => {
                self.cache.failed(Instant::now());
                warn!("the verdict cache is not used: {}", report(&error));
                None
            }
            Err(_) => {
                self.cache.failed(Instant::now());
                warn!("the verdict cache is not used: no answer within {CACHE:?}");
                None
            }
        }
    }

    /// Postgres's answer, remembered in the cache.
    async fn ask_postgres(&self, key: &PublishKey) -> Result<Result<(), Refusal>, DatabaseError> {
        let Some(stored) = self.table.find(key.id()).await? else {
            self.remember(key.id(), &Verdict::Wrong).await;
            return Ok(Err(Refusal::WrongKey));
        };
        // Only who knows the secret learns more than that it is wrong.
        match self.hasher.verify(key, &stored.key.hash).await {
            Ok(true) => {}
            Ok(false) => return Ok(Err(Refusal::WrongKey)),
            Err(error) => {
                warn!(key = %key.id(), "a key can't be verified: {}", report(&error));
                return Ok(Err(Refusal::Unchecked));
            }
        }
        if let Err(refusal) = self.standing(&stored) {
            return Ok(Err(refusal));
        }
        let right = Verdict::right(key, stored.key.stream.clone(), stored.key.expires_ms);
        self.remember(key.id(), &right).await;
        if let Err(error) = self.table.touch(key.id()).await {
            warn!("{}", report(&error));
        }
        Ok(Ok(()))
    }

    /// What is to be said of a key whose secret is right.
    fn standing(&self, stored: &StoredKey) -> Result<(), Refusal> {
        if !stored.active {
            Err(Refusal::Revoked)
        } else if stored.key.stream != self.stream {
            Err(Refusal::OtherStream)
        } else if !stored.is_valid_at(wall_ms()) {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    async fn remember(&self, id: &KeyId, verdict: &Verdict) {
        if !self.cache.allows(Instant::now()) {
            return;
        }
        match tokio::time::timeout(CACHE, self.verdicts.put(id, verdict)).await {
            Ok(Ok(())) => self.cache.succeeded(),
            Ok(Err(_)) | Err(_) => self.cache.failed(Instant::now()),
        }
    }

    /// A cached verdict that Postgres contradicts must not admit anyone again.
    async fn forget(&self, id: &KeyId) {
        if let Err(error) = self.verdicts.revoke(id).await {
            warn!(key = %id, "a cached verdict stays until it expires: {}", report(&error));
        }
    }
}

/// Watches over one key in use.
struct Guard {
    inner: Arc<Inner>,
    key: PublishKey,
    revoked: CancellationToken,
    stop: CancellationToken,
}

impl Guard {
    /// `unasked`: only the cache was asked so far.
    async fn run(self, mut heard: broadcast::Receiver<Revocation>, unasked: bool) {
        let mut ask = unasked;
        loop {
            if ask && !self.is_good().await {
                info!(key = %self.key.id(), "the key in use is no longer good");
                self.inner.forget(self.key.id()).await;
                self.revoked.cancel();
                return;
            }
            ask = tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(RECHECK) => true,
                heard = heard.recv() => match heard {
                    Ok(Revocation::Revoked(id)) if id == *self.key.id() => {
                        info!(key = %id, "the key in use was revoked");
                        self.revoked.cancel();
                        return;
                    }
                    Ok(Revocation::Revoked(_)) => false,
                    Ok(Revocation::Listening) | Err(broadcast::error::RecvError::Lagged(_)) => true,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            };
        }
    }

    /// Asks Postgres until it answers or the publisher is gone.
    async fn is_good(&self) -> bool {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
        loop {
            let answer = tokio::select! {
                () = self.stop.cancelled() => return true,
                answer = self.inner.ask_postgres(&self.key) => answer,
            };
            match answer {
                Ok(Ok(()) | Err(Refusal::Unchecked)) => return true,
                Ok(Err(_)) => return false,
                Err(error) => {
                    if backoff.attempts() == 0 {
                        warn!("a key in use can't be checked: {}", report(&error));
                    }
                    backoff.wait().await;
                }
            }
        }
    }
}
