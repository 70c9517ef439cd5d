//! Connections to what is outside, and what can go wrong with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millrace_media::id::StreamId;
use millrace_platform::breaker::BreakerMetrics;
use millrace_platform::config::{
    ConfigError, DatabaseConfig, Env, Installation, KafkaConfig, RedisConfig, StoreConfig,
};
use millrace_platform::health::Health;
use millrace_platform::kafka::{Admin, KafkaError};
use millrace_platform::keys::{Hasher, KeyError, KeyRing, RevokeError, Verdicts};
use millrace_platform::log::{EndError, Endings};
use millrace_platform::postgres::broadcasts::Broadcasts;
use millrace_platform::postgres::keys::Keys;
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::record::Record;
use millrace_platform::postgres::registry::Registry;
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::redis::cleaning::Cleaning;
use millrace_platform::redis::media::MediaReader;
use millrace_platform::redis::metrics::MetricsStore;
use millrace_platform::redis::{Redis, RedisError};
use millrace_platform::store::{Store, StoreError};

use super::guard::Guard;
use super::memory::Memory;
use super::step::{Service, StepError};
use super::topics::Topics;

/// What can't be made or asked outside.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// Settings are missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] DatabaseError),
    /// Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The publish keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A broadcast, which is ended in its log.
    #[error(transparent)]
    Ending(#[from] EndError),
    /// The object store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RevokeError> for ExternalError {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Postgres(error) => Self::Postgres(error),
            RevokeError::Redis(error) => Self::Redis(error),
        }
    }
}

impl ExternalError {
    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Postgres(error) => error.is_transient(),
            Self::Redis(error) => error.is_transient(),
            Self::Kafka(error) => error.is_transient(),
            Self::Keys(error) => error.is_transient(),
            Self::Ending(error) => error.is_transient(),
            Self::Store(error) => !matches!(error, StoreError::Open { .. }),
            Self::Config(_) => false,
        }
    }
}

/// Connections to what is outside, and what this process knows of it. Clones
/// share both.
#[derive(Debug, Clone)]
pub struct External {
    pub(super) installation: Installation,
    pub(super) kafka: KafkaConfig,
    pub(super) database: Database,
    pub(super) outbox: Outbox,
    pub(super) keys: KeyRing,
    pub(super) broadcasts: Broadcasts,
    pub(super) endings: Endings,
    pub(super) rows_ended: Memory,
    pub(super) record: Record,
    pub(super) registry: Registry,
    pub(super) registered: Memory,
    pub(super) admin: Admin,
    pub(super) topics: Topics,
    pub(super) redis: [Redis; 4],
    pub(super) redis_seen: Memory,
    pub(super) metrics: MetricsStore,
    pub(super) media: MediaReader,
    pub(super) cleaning: Cleaning,
    store: Option<StoreConfig>,
    opened: Arc<OnceLock<Store>>,
    pub(super) guards: Guards,
    swept: Sweeps,
    breakers: BreakerMetrics,
}

/// How many sweeps of each stream are under way: two LiveStreams that are gone
/// may have had one name.
type Sweeps = Arc<Mutex<HashMap<StreamId, usize>>>;

/// One for each service.
#[derive(Debug, Clone)]
pub(super) struct Guards {
    pub(super) kafka: Guard,
    pub(super) postgres: Guard,
    pub(super) redis: Guard,
}

impl External {
    /// Open them. Asks no server yet. Needs a Tokio runtime.
    pub fn open(env: &Env) -> Result<Self, ExternalError> {
        let installation = Installation::read(env);
        let database = DatabaseConfig::read(env);
        let redis = RedisConfig::read(env);
        let kafka = KafkaConfig::read(env);
        let hasher = Hasher::read(env);
        let store = env.text("OBJECT_STORE_URL").map(|_| StoreConfig::read(env)).transpose();
        env.report()?;
        let installation = installation.map_err(ConfigError::from)?;
        let database = Database::open(&database.map_err(ConfigError::from)?)?;
        let redis = redis.map_err(ConfigError::from)?;
        let redis = [
            Redis::connect(&redis.keys, "keys")?,
            Redis::connect(&redis.media, "media")?,
            Redis::connect(&redis.metrics, "metrics")?,
            Redis::connect(&redis.viewers, "viewers")?,
        ];
        let [verdicts, media, metrics, viewers] = redis.clone();
        let of = |database: &Database| (database.clone(), installation.clone());
        let table = Keys::new(database.clone(), installation.clone());
        let verdicts = Verdicts::new(verdicts, installation.clone());
        let kafka = kafka.map_err(ConfigError::from)?;
        let admin = Admin::open(&kafka)?;
        let breakers = BreakerMetrics::default();
        let guards = Guards {
            kafka: Guard::new(Service::Kafka, &breakers),
            postgres: Guard::new(Service::Postgres, &breakers),
            redis: Guard::new(Service::Redis, &breakers),
        };
        let (outbox, broadcasts) = (of(&database), of(&database));
        let (record, registry) = (of(&database), of(&database));
        Ok(Self {
            keys: KeyRing::new(table, verdicts, hasher.map_err(ConfigError::from)?),
            outbox: Outbox::new(outbox.0, outbox.1),
            broadcasts: Broadcasts::new(broadcasts.0, broadcasts.1),
            record: Record::new(record.0, record.1),
            registry: Registry::new(registry.0, registry.1),
            registered: Memory::default(),
            topics: Topics::new(admin.clone(), guards.kafka.clone()),
            admin,
            endings: Endings::open(&kafka, &installation)?,
            rows_ended: Memory::default(),
            kafka,
            database,
            metrics: MetricsStore::new(metrics.clone(), installation.clone()),
            media: MediaReader::new(media.clone(), installation.clone()),
            cleaning: Cleaning::new(media, metrics, viewers, installation.clone()),
            redis,
            redis_seen: Memory::default(),
            store: store.map_err(ConfigError::from)?,
            opened: Arc::default(),
            guards,
            swept: Arc::default(),
            breakers,
            installation,
        })
    }

    /// The figures of the breakers, to be registered with the process's.
    pub fn breakers(&self) -> &BreakerMetrics {
        &self.breakers
    }

    /// From now on checks of these names say whether the services can be had.
    pub fn show(&self, health: &Health) {
        let Guards { kafka, postgres, redis } = &self.guards;
        for guard in [kafka, postgres, redis] {
            guard.show(health);
        }
    }

    /// Postgres is away, and is not asked until it has
    /// [this version's schema](Self::schema_is_there).
    pub fn schema_waits(&self) {
        self.guards.postgres.hold();
    }

    /// Postgres may be asked.
    pub fn schema_is_there(&self) {
        self.guards.postgres.let_go();
    }

    /// The object store, if the settings name one. Opened when first needed:
    /// a directory would be made where nobody looks for it.
    pub(super) fn store(&self) -> Result<Option<&Store>, ExternalError> {
        let Some(config) = &self.store else { return Ok(None) };
        if let Some(store) = self.opened.get() {
            return Ok(Some(store));
        }
        let store = Store::open(config, &self.installation)?;
        Ok(Some(self.opened.get_or_init(|| store)))
    }

    /// No step may work on a stream while it is swept: a LiveStream made anew
    /// waits for the moment that takes.
    pub(super) fn check_not_swept(&self, stream: &StreamId) -> Result<(), StepError> {
        let swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.contains_key(stream) { Err(StepError::CleaningUp) } else { Ok(()) }
    }

    /// From now on, until it is dropped, the stream is swept.
    pub(super) fn begin_sweep(&self, stream: &StreamId) -> Swept {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        *swept.entry(stream.clone()).or_default() += 1;
        Swept { stream: stream.clone(), all: Arc::clone(&self.swept) }
    }
}

/// A stream that is being swept.
#[derive(Debug)]
pub(super) struct Swept {
    stream: StreamId,
    all: Sweeps,
}

impl Drop for Swept {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sweeps) = all.get_mut(&self.stream) {
            *sweeps = sweeps.saturating_sub(1);
            if *sweeps == 0 {
                all.remove(&self.stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::status::table;

    #[tokio::test]
    async fn a_stream_that_is_swept_waits_until_all_its_sweeps_are_over() {
        // None of them is there, and none is asked.
        let env = Env::from_pairs([
            ("DATABASE_URL", "postgres://127.0.0.1:1/none".to_owned()),
            ("REDIS_URL", "redis://127.0.0.1:1".to_owned()),
            ("KAFKA_BROKERS", "127.0.0.1:1".to_owned()),
        ]);
        let outside = External::open(&env).unwrap();
        let [gone, other] = ["gone", "other"].map(|name| StreamId::new("events", name).unwrap());
        let sweeps = [outside.begin_sweep(&gone), outside.begin_sweep(&gone)];
        outside.check_not_swept(&other).unwrap();
        for sweep in sweeps {
            let waits = outside.check_not_swept(&gone).unwrap_err();
            assert!(waits.is_transient());
            for (condition, row) in [
                ("KeysReady", &table::KEYS_CLEANING_UP),
                ("TopicsReady", &table::TOPICS_CLEANING_UP),
            ] {
                assert_eq!(table::failure(condition, waits.reason()), row);
            }
            drop(sweep);
        }
        outside.check_not_swept(&gone).unwrap();
    }
}
