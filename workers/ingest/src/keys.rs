//! Who may publish: the verdict cache, Postgres behind it, and what happens to
//! a publisher whose key stops being good.
//!
//! A cached verdict admits at once and Postgres is asked behind it; without one
//! Postgres decides. So Redis may be away, and for a known key Postgres may.
//! After a time in which no announcement was heard, verdicts are doubtful:
//! Postgres is asked first, until the stream's revoked and expiring keys were
//! settled in Redis by what Postgres says.
//!
//! Wrong keys are counted ([`failures`]), and who has many waits for others
//! ([`lanes`]), but a right key is never refused for them. What a wrong key is
//! answered, and when, does not depend on whether its id exists.

mod cache;
mod examine;
mod failures;
mod guard;
mod lanes;
mod proven;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use millrace_media::id::{KeyId, PublishKey, StreamId};
use millrace_platform::breaker::Breaker;
use millrace_platform::keys::{Announcements, Answer, Hasher, Heard, Verdicts};
use millrace_platform::postgres::keys::Keys as KeyTable;
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::metrics::Metrics;
use crate::refusal::Refusal;
use failures::Failures;
pub use guard::Admission;
use guard::{Guard, Known};
use lanes::Lanes;
use millrace_platform::wall;
use proven::Proven;

/// How long Postgres may take, the wait for a turn included. Encoders give up
/// after about 10 s.
const ASK: Duration = Duration::from_secs(8);
/// How long it may take before a doubtful verdict admits all the same.
const ASK_IN_DOUBT: Duration = Duration::from_secs(2);

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
    proven: Proven,
    lanes: Lanes,
    failures: Mutex<Failures>,
    heard: broadcast::Sender<Heard>,
    /// Announcements are heard.
    hears: AtomicBool,
    /// And what was missed before is settled.
    settled: AtomicBool,
    metrics: Metrics,
}

impl Keys {
    /// For this stream.
    pub fn new(stream: StreamId, verdicts: Verdicts, table: KeyTable, metrics: Metrics) -> Self {
        let inner = Inner {
            stream,
            verdicts,
            cache: Breaker::new(3, Duration::from_secs(5)).observed(&metrics.breakers, "keys"),
            table,
            hasher: Hasher::default(),
            proven: Proven::default(),
            lanes: Lanes::new(),
            failures: Mutex::default(),
            heard: broadcast::Sender::new(64),
            hears: AtomicBool::new(false),
            settled: AtomicBool::new(false),
            metrics,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Says whether this key, offered from this address, may publish now.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub async fn check(&self, key: &PublishKey, from: IpAddr) -> Result<Admission, Refusal> {
        let inner = &self.inner;
        // From here on, so that no announcement falls between check and guard.
        let heard = inner.heard.subscribe();
        let known = inner.judge(key, from).await?;
        Ok(Guard::set(inner, key, known, heard))
    }

    /// What was offered from this address is no key at all.
    pub(crate) fn note_malformed(&self, from: IpAddr) {
        self.inner.failures().note(Instant::now(), from, None);
    }

    /// Whether so many wrong keys came from this address that one more is no
    /// news.
    pub(crate) fn tires(&self, from: IpAddr) -> bool {
        self.inner.failures().tires(Instant::now(), from)
    }

    /// Hears of revoked and changed keys until `stop`.
    pub async fn listen(&self, mut announcements: Announcements, stop: CancellationToken) {
        let inner = &self.inner;
        let mut settling: Option<BoxFuture<'_, ()>> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = async { match &mut settling {
                    Some(work) => work.await,
                    None => std::future::pending().await,
                } } => {
                    settling = None;
                    inner.settled.store(true, Ordering::Release);
                }
                heard = announcements.next() => {
                    match &heard {
                        Heard::Listening => {
                            inner.hears.store(true, Ordering::Release);
                            settling = Some(inner.settle().boxed());
                        }
                        Heard::Deaf => {
                            inner.hears.store(false, Ordering::Release);
                            inner.settled.store(false, Ordering::Release);
                            settling = None;
                        }
                        Heard::Revoked(_) | Heard::Changed(_) => {}
                    }
                    // Nobody listening is fine: no publisher, no key in use.
                    drop(inner.heard.send(heard));
                }
            }
        }
    }
}

impl Inner {
    async fn judge(&self, key: &PublishKey, from: IpAddr) -> Result<Known, Refusal> {
        let heard = self.cached(key.id()).await;
        let unheard = heard.is_err();
        let verdict = heard.unwrap_or_default();
        let settled = self.settled.load(Ordering::Acquire);
        let told = verdict.map(|verdict| {
            (verdict.answer(key, &self.stream, wall::ms()), Known::by_cache(&verdict))
        });
        match told {
            Some((Answer::Accepted, known)) if settled => {
                self.metrics.key_check("cache");
                Ok(known)
            }
            Some((Answer::Accepted, known)) => {
                match timeout(ASK_IN_DOUBT, self.ask(key, from)).await {
                    Ok(Ok(known)) => Ok(known),
                    Ok(Err(refusal)) if refusal != Refusal::Unchecked => Err(refusal),
                    _ => Ok(known),
                }
            }
            Some((Answer::OtherStream, _)) => Err(Refusal::OtherStream),
            Some((Answer::Expired, _)) if settled => Err(Refusal::Expired),
            Some((Answer::Unknown, _)) => {
                // The way of a wrong secret, to the same answer.
                let tired = self.note_wrong(from, None);
                drop(self.lanes.turn(tired).await);
                Err(Refusal::WrongKey)
            }
            // A newer secret, a new expiry, or a revoked key of which only its
            // owner may learn that.
            Some((Answer::WrongSecret | Answer::Expired | Answer::Revoked, _)) | None => {
                let asked = timeout(ASK, self.ask(key, from)).await.unwrap_or_else(|_| {
                    warn!(key = %key.id(), "a key can't be checked within {ASK:?}");
                    Err(Refusal::Unchecked)
                });
                match asked {
                    Err(Refusal::Unchecked) if unheard => self.judge_late(key).await,
                    asked => asked,
                }
            }
        }
    }

    /// Neither the cache nor Postgres has answered so far.
    async fn judge_late(&self, key: &PublishKey) -> Result<Known, Refusal> {
        match self.cached_late(key.id()).await {
            Some(verdict) if verdict.answer(key, &self.stream, wall::ms()) == Answer::Accepted => {
                self.metrics.key_check("cache");
                Ok(Known::by_cache(&verdict))
            }
            _ => Err(Refusal::Unchecked),
        }
    }

    fn hears(&self) -> bool {
        self.hears.load(Ordering::Acquire)
    }

    /// Counts a wrong key; whether its address is tired by now.
    fn note_wrong(&self, from: IpAddr, existing: Option<&KeyId>) -> bool {
        let (mut failures, now) = (self.failures(), Instant::now());
        failures.note(now, from, existing);
        failures.tires(now, from)
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
