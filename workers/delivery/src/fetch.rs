//! Media by name: from this replica's memory, else Redis, else the object
//! store. Concurrent requests for one name share one look-up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_media::published::MediaName;
use moka::future::Cache;

use crate::metrics::{Layer, Metrics};
use crate::origin::Origin;

/// A name that was not found is not looked for again for this long.
const ABSENT: Duration = Duration::from_secs(1);
/// Absent names remembered.
const MAX_ABSENT: u64 = 100_000;
/// What an entry costs beside its bytes, roughly.
const ENTRY_OVERHEAD: u32 = 512;

/// What identifies a piece of media for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaKey {
    /// The stream.
    pub stream: StreamId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The rendition.
    pub rendition: RenditionName,
    /// Its name.
    pub name: MediaName,
}

/// Why there is no media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMedia {
    /// It is neither in Redis nor in the object store.
    #[error("not published, or no longer kept")]
    Absent,
    /// It may be there, but a server behind does not answer.
    #[error("neither Redis nor the object store answers")]
    Behind,
}

/// Media by name; clones share the memory.
#[derive(Debug, Clone)]
pub struct Fetch {
    origin: Origin,
    metrics: Metrics,
    memory: Cache<MediaKey, Bytes>,
    absent: Cache<MediaKey, ()>,
}

impl Fetch {
    /// With at most `max_bytes` in memory.
    pub fn new(origin: Origin, metrics: Metrics, max_bytes: u64) -> Self {
        let weigh = |_: &MediaKey, bytes: &Bytes| {
            u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_add(ENTRY_OVERHEAD)
        };
        Self {
            origin,
            metrics,
            memory: Cache::builder().weigher(weigh).max_capacity(max_bytes).build(),
            absent: Cache::builder().max_capacity(MAX_ABSENT).time_to_live(ABSENT).build(),
        }
    }

    /// The bytes of this name.
    pub async fn get(&self, key: &MediaKey) -> Result<Bytes, NoMedia> {
        if let Some(bytes) = self.memory.get(key).await {
            self.metrics.found(Layer::memory);
            return Ok(bytes);
        }
        if self.absent.get(key).await.is_some() {
            self.metrics.found(Layer::none);
            return Err(NoMedia::Absent);
        }
        let found = self.memory.try_get_with_by_ref(key, self.look(key)).await;
        found.map_err(|shared: Arc<NoMedia>| *shared)
    }

    async fn look(&self, key: &MediaKey) -> Result<Bytes, NoMedia> {
        let redis = self.origin.media_from_redis(key).await;
        if let Ok(Some(bytes)) = redis {
            self.metrics.found(Layer::redis);
            return Ok(bytes);
        }
        let store = self.origin.media_from_store(key).await;
        if let Ok(Some(bytes)) = store {
            self.metrics.found(Layer::store);
            return Ok(bytes);
        }
        self.metrics.found(Layer::none);
        let errors = [redis.err().map(|e| e.to_string()), store.err().map(|e| e.to_string())];
        if errors.iter().all(Option::is_none) {
            self.absent.insert(key.clone(), ()).await;
            return Err(NoMedia::Absent);
        }
        let [redis, store] = errors.map(Option::unwrap_or_default);
        tracing::warn!(stream = %key.stream, name = %key.name, redis, store, "media not read");
        Err(NoMedia::Behind)
    }
}
