//! Verdicts in Redis: asked, remembered, and made right after a gap.

use std::time::{Duration, Instant};

use millrace_media::id::KeyId;
use millrace_platform::backoff::Backoff;
use millrace_platform::keys::Verdict;
use millrace_platform::report::report;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Inner;
use crate::refusal::Refusal;

/// How long the cache may take before Postgres is asked instead.
const CACHE: Duration = Duration::from_millis(500);
/// How long it may take where Postgres does not answer either.
const CACHE_LATE: Duration = Duration::from_secs(2);
/// Longer than a verdict lives.
const VERDICT_LIFE: Duration = Duration::from_hours(25);

/// The cache did not answer.
pub(super) struct Unheard;

impl Inner {
    /// The verdict on a key, if the cache has one.
    pub(super) async fn cached(&self, id: &KeyId) -> Result<Option<Verdict>, Unheard> {
        if !self.cache.allows(Instant::now()) {
            return Err(Unheard);
        }
        let get = async {
            match self.verdicts.get(id).await {
                // The connection of before a restart is found broken by its use.
                Err(error) if error.is_transient() => self.verdicts.get(id).await,
                answer => answer,
            }
        };
        match timeout(CACHE, get).await {
            Ok(Ok(verdict)) => {
                self.cache.succeeded();
                Ok(verdict)
            }
            Ok(Err(error)) => {
                self.cache.failed(Instant::now());
                warn!("the verdict cache is not used: {}", report(&error));
                Err(Unheard)
            }
            Err(_) => {
                self.cache.failed(Instant::now());
                warn!("the verdict cache is not used: no answer within {CACHE:?}");
                Err(Unheard)
            }
        }
    }

    /// The verdict on a key, where nobody else answers: a late one is better
    /// than none.
    pub(super) async fn cached_late(&self, id: &KeyId) -> Option<Verdict> {
        timeout(CACHE_LATE, self.verdicts.get(id)).await.ok()?.ok()?
    }

    pub(super) async fn remember(&self, id: &KeyId, verdict: &Verdict) {
        if !self.cache.allows(Instant::now()) {
            return;
        }
        match timeout(CACHE, self.verdicts.put(id, verdict)).await {
            Ok(Ok(())) => self.cache.succeeded(),
            Ok(Err(_)) | Err(_) => self.cache.failed(Instant::now()),
        }
    }

    /// A cached verdict that Postgres contradicts must not admit anyone again.
    pub(super) async fn contradict(&self, id: &KeyId, refusal: Refusal) {
        let told = match refusal {
            Refusal::Revoked => self.verdicts.revoke(id).await,
            _ => self.verdicts.changed(id).await,
        };
        if let Err(error) = told {
            warn!(key = %id, "a cached verdict stays for now: {}", report(&error));
        }
    }

    /// Makes right, by Postgres, what Redis may have missed: retried until done.
    pub(super) async fn settle(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        while let Err(error) = self.try_settle().await {
            if backoff.attempts() == 0 {
                warn!("cached verdicts are doubtful: {error}");
            }
            backoff.wait().await;
        }
        debug!("cached verdicts are settled");
    }

    async fn try_settle(&self) -> Result<(), String> {
        let mut after = None;
        loop {
            let spoiled = self.table.spoiled(&self.stream, VERDICT_LIFE, after.as_ref()).await;
            let spoiled = spoiled.map_err(|e| report(&e))?;
            let settled = self.verdicts.settle(&spoiled.revoked, &spoiled.expiring).await;
            settled.map_err(|e| report(&e))?;
            after = spoiled.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
