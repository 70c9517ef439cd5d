//! What the transcoder asks of the world, in its own words.
//!
//! Everything outside is reached through here: the log and its checkpoint
//! ([`log`]), what is published and who may publish ([`writer`]). Clones share
//! their connections.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use millrace_media::id::{BroadcastId, RenditionName};
use millrace_media::index::Head;
use millrace_media::published::{BroadcastInfo, Entry};
use millrace_media::time::Ticks;
use millrace_platform::kafka::{Checkpoints, Events, KafkaError, Producer, ProducerLimits};
use millrace_platform::names::topics;
use millrace_platform::redis::media::{MediaError, MediaReader, MediaWriter};
use millrace_platform::redis::{Redis, RedisError};
use millrace_platform::store::{Store, StoreError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::config::Config;
use crate::metrics::TranscodeMetrics;

mod log;
mod writer;

/// A rendition's place in the world.
#[derive(Debug, Clone)]
pub struct Place {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The rendition.
    pub rendition: RenditionName,
}

/// What is published of a broadcast.
#[derive(Debug, Default)]
pub struct Published {
    /// Its description.
    pub info: Option<BroadcastInfo>,
    /// The index of the highest run.
    pub head: Option<Head>,
    /// What Redis has of each rendition's playlist.
    pub entries: HashMap<RenditionName, Vec<Entry>>,
}

impl Published {
    /// How far it has come: where the last segment that has anything ends, and
    /// the discontinuities up to there. `None` if nothing is published.
    pub fn reached(&self) -> Option<(Ticks, u32)> {
        let duration = self.info.as_ref()?.segment_duration;
        let indexed = self.head.iter().flat_map(|head| head.segments.values().flatten());
        let listed = self.entries.values().flatten().filter_map(|entry| match entry {
            Entry::Part(part) => Some((part.msn, part.discontinuities)),
            Entry::Segment(segment) => Some((segment.msn, segment.discontinuities)),
            Entry::End { .. } => None,
        });
        let (last, discontinuities) = indexed
            .map(|segment| (segment.msn, segment.discontinuities))
            .chain(listed)
            .reduce(|(last, count), (msn, more)| (last.max(msn), count.max(more)))?;
        let next = i64::try_from(last.next().0).unwrap_or(i64::MAX);
        Some((Ticks(next.saturating_mul(duration.0)), discontinuities))
    }
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The object store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Something could not be read, claimed or published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another process writes this stream.
    #[error("another writer has taken broadcast {broadcast}")]
    Fenced {
        /// The broadcast.
        broadcast: BroadcastId,
    },
    /// No run has been claimed yet.
    #[error("no run is claimed yet")]
    NoRun,
    /// The writer's lease is not ours (any more): claim it again.
    #[error("the writer's lease is gone from Redis")]
    LeaseLost,
    /// Redis.
    #[error(transparent)]
    Media(MediaError),
    /// Redis, reading.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An index or a description that does not parse.
    #[error("{what} can't be read: {source}")]
    Corrupt {
        /// Which.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Services {
    /// What is counted.
    pub metrics: TranscodeMetrics,
    /// The broadcast that is on.
    pub on_air: watch::Sender<Option<BroadcastId>>,
    pub(crate) config: Arc<Config>,
    redis: Redis,
    reader: MediaReader,
    /// The writer of the run claimed last.
    writer: Arc<RwLock<Option<MediaWriter>>>,
    store: Store,
    checkpoints: Checkpoints,
    producer: Producer,
    events: Events,
    /// This process, in claims.
    token: Uuid,
}

impl Services {
    /// Makes the clients; asks no server.
    pub fn connect(config: &Arc<Config>, metrics: TranscodeMetrics) -> Result<Self, ConnectError> {
        let redis = Redis::connect(&config.redis.media, "media")?;
        let topic = topics::frames_topic(&config.installation, &config.stream);
        let group = topics::checkpoint_group(&config.installation, &config.stream);
        let producer = Producer::open(&config.kafka, ProducerLimits::default())?;
        Ok(Self {
            metrics,
            on_air: watch::Sender::new(None),
            reader: MediaReader::new(redis.clone(), config.installation.clone()),
            redis,
            writer: Arc::default(),
            store: Store::open(&config.store, &config.installation)?,
            checkpoints: Checkpoints::open(&config.kafka, &group, &topic)?,
            events: Events::new(producer.clone(), &config.installation),
            producer,
            token: Uuid::new_v4(),
            config: config.clone(),
        })
    }
}
