//! The life of publish keys, for whoever manages them.
//!
//! A change is made in Postgres first and then announced in Redis, where it
//! reaches every ingest at once. Redis may be away: an ingest that hears
//! nothing asks Postgres about the key in use every second, and settles its
//! stream's verdicts by Postgres when Redis is back. So an announcement that
//! fails is tried a few times and then only logged.

use std::time::Duration;

use futures::future::join_all;
use millrace_media::id::{KeyId, PublishKey, StreamId};
use tracing::{info, warn};

use super::matched::Matched;
use super::{Hasher, KeyError, KeyName, RevokeError, Verdicts, generate};
use crate::postgres::DatabaseError;
use crate::postgres::keys::{KeyFilter, KeySource, Keys, NewKey, StoredKey};
use crate::postgres::page::{Page, PageRequest};
use crate::report::report;
use crate::wall;

/// Most keys of the API that one stream may have at a time, expired and revoked
/// ones not counted.
pub const MAX_API_KEYS: u32 = 64;
/// Longest time for which a rotated key may stay good.
pub const MAX_OVERLAP: Duration = Duration::from_hours(30 * 24);
/// How often an announcement is tried, and the wait between.
const ANNOUNCE: (u32, Duration) = (3, Duration::from_millis(200));
/// How long all that may take: whoever changes a key waits for it.
const ANNOUNCING: Duration = Duration::from_secs(2);
/// Verdicts older than this are gone: they live 24 hours.
const SPOILED: Duration = Duration::from_hours(25);

/// A key that the API is asked for.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The stream it may publish to.
    pub stream: StreamId,
    /// What it is called.
    pub name: KeyName,
    /// Who holds it.
    pub broadcaster: String,
    /// Not accepted from then on, ms since 1970.
    pub expires_ms: Option<i64>,
}

/// Manages keys.
#[derive(Debug, Clone)]
pub struct KeyRing {
    pub(super) table: Keys,
    pub(super) hasher: Hasher,
    pub(super) matched: Matched,
    verdicts: Verdicts,
}

impl KeyRing {
    /// Of the installation that `table` and `verdicts` are of.
    pub fn new(table: Keys, verdicts: Verdicts, hasher: Hasher) -> Self {
        Self { table, hasher, matched: Matched::default(), verdicts }
    }

    /// A new key of the API. What is returned is the only time it can be seen:
    /// Postgres has its hash.
    pub async fn create(&self, wanted: &ApiKey) -> Result<PublishKey, KeyError> {
        let stream = wanted.stream.clone();
        if wanted.expires_ms.is_some_and(|expires| expires <= wall::ms()) {
            return Err(KeyError::Expired { stream });
        }
        let key = generate(&mut rand::rng())?;
        let row = NewKey {
            id: key.id().clone(),
            stream: stream.clone(),
            name: wanted.name.as_str().to_owned(),
            broadcaster: wanted.broadcaster.clone(),
            hash: self.hasher.hash(&key).await?,
            source: KeySource::Api,
            expires_ms: wanted.expires_ms,
        };
        if !self.table.insert_api(&row, MAX_API_KEYS).await? {
            return Err(KeyError::TooMany { stream, most: MAX_API_KEYS });
        }
        info!(%stream, key = %row.id, name = row.name, "publish key made");
        Ok(key)
    }

    /// A new key of the same stream, name and holder; the old one stays good
    /// for `overlap`, or less if it expires before.
    ///
    /// # Errors
    /// `OfSpec` for a key of the spec, `Over` for one that is no longer good.
    pub async fn rotate(
        &self,
        stream: &StreamId,
        id: &KeyId,
        overlap: Duration,
        expires_ms: Option<i64>,
    ) -> Result<PublishKey, KeyError> {
        if overlap > MAX_OVERLAP {
            let (seconds, most) = (overlap.as_secs(), MAX_OVERLAP.as_secs());
            return Err(KeyError::Overlap { seconds, most });
        }
        if expires_ms.is_some_and(|expires| expires <= wall::ms()) {
            return Err(KeyError::Expired { stream: stream.clone() });
        }
        let key = generate(&mut rand::rng())?;
        let hash = self.hasher.hash(&key).await?;
        let old = (stream, id);
        if !self.table.rotate_api(old, overlap, (key.id(), &hash, expires_ms)).await? {
            return Err(self.refusal(stream, id).await?);
        }
        self.announce(id, || self.verdicts.changed(id)).await;
        info!(%stream, old = %id, key = %key.id(), "publish key rotated");
        Ok(key)
    }

    /// Revokes a key of the API for good; again is harmless.
    ///
    /// # Errors
    /// `OfSpec` for a key of the spec.
    pub async fn revoke(&self, stream: &StreamId, id: &KeyId) -> Result<(), KeyError> {
        let stored = self.of_stream(stream, id).await?;
        if stored.key.source == KeySource::Spec {
            return Err(KeyError::OfSpec { stream: stream.clone(), id: id.clone() });
        }
        self.revoke_row(stream, id).await?;
        self.announce(id, || self.verdicts.revoke(id)).await;
        Ok(())
    }

    /// A page of keys, the newest first, whatever their source.
    pub async fn list(
        &self,
        filter: &KeyFilter,
        page: &PageRequest<KeyId>,
    ) -> Result<Page<StoredKey, KeyId>, DatabaseError> {
        self.table.list(filter, page).await
    }

    /// One key of a stream.
    pub async fn of_stream(&self, stream: &StreamId, id: &KeyId) -> Result<StoredKey, KeyError> {
        let stored = self.table.find(id).await?;
        let not_found = || KeyError::NotFound { stream: stream.clone(), id: id.clone() };
        stored.filter(|stored| stored.key.stream == *stream).ok_or_else(not_found)
    }

    /// Revokes every key of a stream that is gone, whatever its source, and
    /// sees to it that no verdict says otherwise; says how many there were.
    /// Again is harmless.
    ///
    /// # Errors
    /// When Postgres or Redis can't be asked.
    pub async fn revoke_all(&self, stream: &StreamId) -> Result<usize, RevokeError> {
        let active = self.table.active(stream).await?;
        for id in &active {
            self.revoke_row(stream, id).await?;
        }
        self.announce_all(&active, &[]).await;
        let mut after = None;
        loop {
            let spoiled = self.table.spoiled(stream, SPOILED, after.as_ref()).await?;
            self.verdicts.settle(&spoiled.revoked, &spoiled.expiring).await?;
            after = spoiled.next;
            if after.is_none() {
                return Ok(active.len());
            }
        }
    }

    /// Whatever its source; nobody is told yet.
    pub(super) async fn revoke_row(
        &self,
        stream: &StreamId,
        id: &KeyId,
    ) -> Result<(), DatabaseError> {
        self.table.revoke(id).await?;
        self.matched.forget(id);
        info!(%stream, key = %id, "publish key revoked");
        Ok(())
    }

    /// All at once: when Redis is away they wait for it together.
    pub(super) async fn announce_all(&self, revoked: &[KeyId], changed: &[KeyId]) {
        let revoked = revoked.iter().map(|id| self.announce(id, || self.verdicts.revoke(id)));
        let changed = changed.iter().map(|id| self.announce(id, || self.verdicts.changed(id)));
        futures::join!(join_all(revoked), join_all(changed));
    }

    async fn announce<F>(&self, id: &KeyId, attempt: impl Fn() -> F)
    where
        F: Future<Output = Result<(), crate::redis::RedisError>>,
    {
        let (tries, pause) = ANNOUNCE;
        let all = async {
            for left in (0..tries).rev() {
                match attempt().await {
                    Ok(()) => return,
                    Err(_) if left > 0 => tokio::time::sleep(pause).await,
                    Err(error) => {
                        warn!(key = %id, "ingest has to find out by itself: {}", report(&error));
                    }
                }
            }
        };
        if tokio::time::timeout(ANNOUNCING, all).await.is_err() {
            warn!(key = %id, "ingest has to find out by itself: Redis takes too long");
        }
    }

    /// Why a key can't be rotated.
    async fn refusal(&self, stream: &StreamId, id: &KeyId) -> Result<KeyError, KeyError> {
        let stored = self.of_stream(stream, id).await?;
        let (stream, id) = (stream.clone(), id.clone());
        Ok(match stored.key.source {
            KeySource::Spec => KeyError::OfSpec { stream, id },
            KeySource::Api => KeyError::Over { stream, id },
        })
    }
}
