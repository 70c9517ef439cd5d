//! What the transcoder asks of the world, in its own words.
//!
//! Everything outside is reached through here: the log and its checkpoint
//! ([`log`]), what is published and publishing more ([`writer`]), who may
//! ([`runs`]), also later ([`spares`]), and what a standby asks of that
//! ([`standby`]). Clones share their connections.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_media::id::{BroadcastId, RenditionName};
use millrace_media::index::Head;
use millrace_media::published::{BroadcastInfo, Entry};
use millrace_media::time::Ticks;
use millrace_platform::health::{Check, Health};
use millrace_platform::kafka::{Checkpoints, Events, KafkaError, Producer, ProducerLimits};
use millrace_platform::names::topics;
use millrace_platform::redis::media::{MediaError, MediaReader};
use millrace_platform::redis::{Redis, RedisError};
use millrace_platform::store::{Store, StoreError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::config::Config;
use crate::metrics::TranscodeMetrics;

mod durable;
mod log;
mod runs;
mod spares;
mod standby;
mod writer;

pub use standby::{Begun, Glance};

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
    /// Who could not be asked.
    pub blind: Blind,
}

/// What could not be read of what is published.
#[derive(Debug, Clone, Copy, Default)]
pub struct Blind {
    /// Redis was away.
    pub redis: bool,
    /// The index was: what is known of it is what this process wrote last, if
    /// anything.
    pub index: bool,
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
    /// Another writer published after this one had read what there is: what it
    /// made does not follow that.
    #[error("another writer went on with {rendition} of broadcast {broadcast} meanwhile")]
    Stale {
        /// The broadcast.
        broadcast: BroadcastId,
        /// Where it was noticed.
        rendition: RenditionName,
    },
    /// Redis is at a later broadcast of the stream: it takes no more of this
    /// one, which the object store still may lack.
    #[error("Redis is at a later broadcast than {broadcast}")]
    Superseded {
        /// The broadcast.
        broadcast: BroadcastId,
    },
    /// Nobody who could be asked knows how far a broadcast has come.
    #[error("nobody who is there knows how far broadcast {broadcast} has come")]
    Unknown {
        /// The broadcast.
        broadcast: BroadcastId,
    },
    /// The same as [`Self::Stale`], of the index.
    #[error("another writer went on with the index of broadcast {broadcast} meanwhile")]
    Unread {
        /// The broadcast.
        broadcast: BroadcastId,
    },
    /// No run has been claimed yet.
    #[error("no run is claimed yet")]
    NoRun,
    /// The writer's lease is not ours (any more), or what was published under it
    /// is gone: claim it again, and list the window again.
    #[error("the writer's lease, or what it published before, is gone from Redis")]
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
    /// Whether the object store takes the index.
    index: Check,
    redis: Redis,
    reader: MediaReader,
    runs: Arc<runs::Runs>,
    store: Store,
    redis_check: Check,
    store_check: Check,
    checkpoints: Checkpoints,
    producer: Producer,
    events: Events,
    /// This process, in claims.
    token: Uuid,
}

/// The name of the object store's check.
pub const OBJECT_STORE: &str = "objectStore";

/// A service that is missed when it fails, not before it is used.
fn used(health: &Health, name: &'static str) -> Check {
    let check = health.informative(name);
    check.ok();
    check
}

impl Services {
    /// Makes the clients; asks no server.
    pub fn connect(
        config: &Arc<Config>,
        metrics: TranscodeMetrics,
        health: &Health,
    ) -> Result<Self, ConnectError> {
        let index = health.needed("index");
        index.ok();
        let redis = Redis::connect_patient(&config.redis.media, "media")?;
        let topic = topics::frames_topic(&config.installation, &config.stream);
        let group = topics::checkpoint_group(&config.installation, &config.stream);
        let producer = Producer::open(&config.kafka, ProducerLimits::default())?;
        Ok(Self {
            metrics,
            index,
            on_air: watch::Sender::new(None),
            reader: MediaReader::new(redis.clone(), config.installation.clone()),
            redis,
            runs: Arc::default(),
            redis_check: used(health, "redis"),
            store_check: used(health, OBJECT_STORE),
            store: Store::open(&config.store, &config.installation)?,
            checkpoints: Checkpoints::open(&config.kafka, &group, &topic)?,
            events: Events::new(producer.clone(), &config.installation),
            producer,
            token: Uuid::new_v4(),
            config: config.clone(),
        })
    }
}
