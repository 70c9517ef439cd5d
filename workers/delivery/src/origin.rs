//! Where published media and its descriptions come from: Redis first, the
//! object store when Redis has lost them or does not answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, StreamId};
use millrace_media::index::{Chunk, Head};
use millrace_media::published::{BroadcastInfo, MediaName};
use millrace_media::time::Ticks;
use millrace_platform::breaker::{Breaker, BreakerError};
use millrace_platform::names::objects::{BroadcastObjects, run_of};
use millrace_platform::redis::media::{EntryId, MediaReader};
use millrace_platform::redis::metrics::MetricsStore;
use millrace_platform::redis::viewers::Viewers;
use millrace_platform::redis::{Redis, RedisError};
use millrace_platform::store::{Store, StoreError};
use millrace_platform::wall;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::fetch::MediaKey;
use crate::live::snapshot::Snapshot;
use crate::live::view::View;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::stored::{self, Stored};

/// Look-ups in the object store at a time for unknown streams, and as many for
/// broadcasts that a request names: strangers' guesses must not become a flood
/// of listings.
const STORE_LOOKUPS: usize = 16;
/// A viewer's request waits this long for the object store.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
/// So many failures in a row, and media is not asked of Redis for a while:
/// the object store has what is complete.
const REDIS_FAILURES: u32 = 3;
/// How long it is not asked.
const REDIS_COOL_DOWN: Duration = Duration::from_secs(1);
/// Objects read at a time: behind a store that is slow requests must not pile up.
const STORE_READS: usize = 64;
/// So many failures in a row, and the object store is not asked for a while:
/// what is live is in Redis.
const STORE_FAILURES: u32 = 5;
/// How long it is not asked.
const STORE_COOL_DOWN: Duration = Duration::from_secs(2);

/// Why published things could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Redis failed.
    #[error("reading from Redis")]
    Redis(#[from] RedisError),
    /// The object store failed.
    #[error("reading from the object store")]
    Store(#[from] StoreError),
    /// An index object is not what it should be.
    #[error("the index object {path} is not understood")]
    Index {
        /// Its path.
        path: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Redis failed several times and is not asked for a moment.
    #[error("Redis is not asked: it failed several times in a row")]
    Resting,
    /// The object store failed several times and is not asked for a moment.
    #[error("the object store is not asked: it failed several times in a row")]
    StoreResting,
    /// The object store takes too long for a viewer.
    #[error("the object store did not answer in time")]
    Late,
    /// Too many look-ups are under way.
    #[error("too many look-ups in the object store are under way")]
    Busy,
}

/// Redis and the object store; clones share connections.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Parts, segments and their descriptions in Redis.
    pub media: MediaReader,
    /// Who watches.
    pub viewers: Viewers,
    /// The counters of each second.
    pub metrics: MetricsStore,
    redis: Redis,
    store: Store,
    lookups: Arc<Semaphore>,
    guesses: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    breaker: Arc<Breaker>,
    store_breaker: Arc<Breaker>,
}

impl Origin {
    /// Opens Redis and the object store; asks neither.
    pub fn open(settings: &Settings, metrics: &Metrics) -> Result<Self, OriginError> {
        let installation = &settings.installation;
        let redis = Redis::connect(&settings.redis.media, "media")?;
        let viewers = Redis::connect(&settings.redis.viewers, "viewers")?;
        let counters = Redis::connect(&settings.redis.metrics, "metrics")?;
        let breaker = Breaker::new(REDIS_FAILURES, REDIS_COOL_DOWN);
        let store_breaker = Breaker::new(STORE_FAILURES, STORE_COOL_DOWN);
        Ok(Self {
            media: MediaReader::new(redis.clone(), installation.clone()),
            redis,
            viewers: Viewers::new(viewers, installation.clone()),
            metrics: MetricsStore::new(counters, installation.clone()),
            store: Store::open(&settings.store, installation)?,
            lookups: Arc::new(Semaphore::new(STORE_LOOKUPS)),
            guesses: Arc::new(Semaphore::new(STORE_LOOKUPS)),
            reads: Arc::new(Semaphore::new(STORE_READS)),
            breaker: Arc::new(breaker.observed(&metrics.breakers, "media")),
            store_breaker: Arc::new(store_breaker.observed(&metrics.breakers, "store")),
        })
    }

    /// Whether Redis answers.
    pub async fn ping_redis(&self) -> Result<(), RedisError> {
        self.redis.ping().await
    }

    /// Whether the object store answers.
    pub async fn ping_store(&self) -> Result<(), OriginError> {
        // An object that nobody writes: that it is not there is an answer.
        in_time(self.store.get("ping")).await.map(drop)
    }

    /// How many watch now.
    pub async fn count_viewers(&self, stream: &StreamId) -> Result<u64, RedisError> {
        self.viewers.count(stream, wall::second()).await
    }

    /// What is published of the stream: by Redis, or by the object store when
    /// Redis knows nothing or does not answer.
    pub async fn load(&self, stream: &StreamId) -> Result<Option<Snapshot>, OriginError> {
        let from_redis = self.load_current(stream).await;
        if let Ok(Some(view)) = from_redis {
            return Ok(Some(snapshot(view, false)));
        }
        let degraded = from_redis.is_err();
        match self.load_store(stream).await {
            Ok(stored) => Ok(stored.map(|stored| snapshot(stored.into_view(), degraded))),
            // What Redis said of itself is the better story.
            Err(error) => Err(from_redis.err().map_or(error, OriginError::from)),
        }
    }

    async fn load_current(&self, stream: &StreamId) -> Result<Option<View>, RedisError> {
        match self.media.get_broadcast(stream).await? {
            Some(info) => self.load_redis(info).await.map(Some),
            None => Ok(None),
        }
    }

    /// All that Redis has of a broadcast, and before it what the object store
    /// has: Redis may have lost entries, and it keeps a number of segments,
    /// where lists go by their length.
    pub async fn load_redis(&self, info: BroadcastInfo) -> Result<View, RedisError> {
        let mut entries = Vec::new();
        for rendition in &info.renditions {
            let (name, all) = (&rendition.name, EntryId::START);
            let list = self.media.entries(&info.stream, info.broadcast, name, all).await?;
            entries.extend(list.into_iter().map(|entry| (rendition.name.clone(), entry)));
        }
        let view = View::new(info);
        let view = view.after(entries.iter().map(|(name, entry)| (name, entry))).unwrap_or(view);
        if !entries.is_empty() && !view.is_short() {
            return Ok(view);
        }
        let stored = self.stored_broadcast(&view.info.stream, view.broadcast()).await;
        Ok(stored.ok().flatten().map_or(view, |stored| stored.followed_by(entries)))
    }

    /// The last broadcast in the object store.
    pub async fn load_store(&self, stream: &StreamId) -> Result<Option<Stored>, OriginError> {
        let _place = self.lookups.try_acquire().map_err(|_| OriginError::Busy)?;
        let Some(last) = self.last_stored(stream).await? else {
            return Ok(None);
        };
        self.stored_broadcast(stream, last).await
    }

    /// A broadcast that a request names: it may be a guess.
    pub async fn archived(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
    ) -> Result<Option<Stored>, OriginError> {
        let _place = self.guesses.try_acquire().map_err(|_| OriginError::Busy)?;
        self.stored_broadcast(stream, broadcast).await
    }

    /// A broadcast as the object store's index has it: by the head of the
    /// highest run.
    async fn stored_broadcast(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
    ) -> Result<Option<Stored>, OriginError> {
        let objects = BroadcastObjects::new(stream, broadcast);
        let index = self.ask_store(self.store.list(&objects.index())).await?;
        // Chunks are named otherwise: only heads have a run here.
        let Some(run) = index.iter().filter_map(|path| run_of(path)).max() else {
            return Ok(None);
        };
        let Some(head) = self.index_object::<Head>(&objects.head(run)).await? else {
            return Ok(None);
        };
        let mut chunks = Vec::new();
        let mut missing = stored::window(&head.info) - stored::length(&head.info, &head.segments);
        for place in head.chunks.iter().rev() {
            if missing <= Ticks::ZERO {
                break;
            }
            let path = objects.chunk(place.first, place.run);
            let Some(chunk) = self.index_object::<Chunk>(&path).await? else { break };
            missing = missing - stored::length(&head.info, &chunk.segments);
            chunks.push(chunk);
        }
        chunks.reverse();
        Ok(Some(Stored::new(head, chunks)))
    }

    async fn last_stored(&self, stream: &StreamId) -> Result<Option<BroadcastId>, OriginError> {
        let folders = self.ask_store(self.store.folders(stream.as_str())).await?;
        Ok(folders.iter().filter_map(|name| name.parse().ok()).max())
    }

    async fn index_object<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, OriginError> {
        let Some(bytes) = self.ask_store(self.store.get(path)).await? else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|source| OriginError::Index { path: path.to_owned(), source })
    }

    /// Streams with a current or last broadcast in Redis.
    pub async fn streams(&self) -> Result<Vec<StreamId>, OriginError> {
        Ok(self.media.streams().await?)
    }

    /// Media from Redis.
    pub async fn media_from_redis(&self, key: &MediaKey) -> Result<Option<Bytes>, OriginError> {
        let MediaKey { stream, broadcast, rendition, name } = key;
        let (media, broadcast) = (&self.media, *broadcast);
        let get = async {
            match name {
                MediaName::Segment { msn, run } => {
                    media.get_segment(stream, broadcast, rendition, (*msn, *run)).await
                }
                MediaName::Part { msn, part, run } => {
                    media.get_part(stream, broadcast, rendition, (*msn, *part, *run)).await
                }
                MediaName::Init(hash) => media.get_init(stream, broadcast, hash).await,
            }
        };
        self.breaker.call(get).await.map_err(|error| match error {
            BreakerError::Open => OriginError::Resting,
            BreakerError::Failed(error) => error.into(),
        })
    }

    /// Media from the object store, which has no parts.
    pub async fn media_from_store(&self, key: &MediaKey) -> Result<Option<Bytes>, OriginError> {
        let MediaKey { stream, broadcast, rendition, name } = key;
        let objects = BroadcastObjects::new(stream, *broadcast);
        let path = match name {
            MediaName::Part { .. } => return Ok(None),
            MediaName::Segment { msn, run } => objects.segment(rendition, *msn, *run),
            MediaName::Init(hash) => objects.init(hash),
        };
        // To wait for a place is to wait for the store.
        self.ask_store(async {
            let _place = self.reads.acquire().await;
            self.store.get(&path).await
        })
        .await
    }

    /// Asks the object store for as long as a viewer waits, unless it failed
    /// several times just now.
    async fn ask_store<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, OriginError> {
        self.store_breaker.call(in_time(work)).await.map_err(|error| match error {
            BreakerError::Open => OriginError::StoreResting,
            BreakerError::Failed(error) => error,
        })
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, OriginError> {
    match tokio::time::timeout(STORE_PATIENCE, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(OriginError::Late),
    }
}

fn snapshot(view: View, degraded: bool) -> Snapshot {
    Snapshot { current: Arc::new(view), previous: None, degraded }
}
