//! What the API's handlers share.

use std::sync::Arc;

use millrace_platform::health::Health;
use millrace_platform::kafka::{KafkaError, NewestEvents};
use millrace_platform::keys::{Hasher, KeyRing, Verdicts};
use millrace_platform::log::Endings;
use millrace_platform::postgres::broadcasts::Broadcasts;
use millrace_platform::postgres::keys::Keys;
use millrace_platform::postgres::metrics::StreamMetrics;
use millrace_platform::postgres::qualities::Qualities;
use millrace_platform::postgres::registry::Registry;
use millrace_platform::postgres::sessions::Sessions;
use millrace_platform::postgres::tokens::Tokens;
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::redis::{Redis, RedisError};

use tokio::sync::Semaphore;

use super::auth::Gate;
use super::auth::book::Book;
use super::auth::kubernetes::Kubernetes;
use super::problem::ApiProblem;
use crate::http::state::Shared;
use crate::settings::Settings;

/// Keys hashed at a time.
const HASHES: usize = 2;
/// Ranges of seconds read at a time.
const RANGES: usize = 2;

/// A connection that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `DATABASE_API_URL`.
    #[error("DATABASE_API_URL")]
    Database(#[from] DatabaseError),
    /// `REDIS_URL` or `REDIS_KEYS_URL`.
    #[error("REDIS_URL")]
    Redis(#[from] RedisError),
    /// `KAFKA_BROKERS`.
    #[error("KAFKA_BROKERS")]
    Kafka(#[from] KafkaError),
}

/// Shared by all requests; clones are cheap.
#[derive(Debug, Clone)]
pub struct Api {
    /// What the viewers' side knows.
    pub shared: Shared,
    /// Who is let in.
    pub gate: Arc<Gate>,
    /// How this replica is.
    pub health: Health,
    /// Events, where there is a Kafka.
    pub events: Option<NewestEvents>,
    endings: Option<Endings>,
    record: Option<Arc<Tables>>,
    control: Option<Arc<Control>>,
}

/// The record, as the viewers' side may read it.
#[derive(Debug)]
pub struct Tables {
    /// Broadcasts.
    pub broadcasts: Broadcasts,
    /// Viewers' sessions.
    pub sessions: Sessions,
    /// Seconds.
    pub metrics: StreamMetrics,
    /// Places for those who read many of them: the pool is also that of who
    /// writes the record.
    pub ranges: Semaphore,
    /// Presets of rungs.
    pub qualities: Qualities,
}

/// What only the API may.
#[derive(Debug)]
pub struct Control {
    /// Publish keys.
    pub keys: KeyRing,
    /// Tokens.
    pub tokens: Tokens,
    /// LiveStreams there are.
    pub registry: Registry,
}

impl Api {
    /// Opens what the settings name; asks no server. `record` is the database
    /// of `DATABASE_URL`.
    ///
    /// # Errors
    /// When a setting can't be used.
    pub fn open(
        settings: &Settings,
        shared: &Shared,
        record: Option<&Database>,
        kubernetes: Option<kube::Client>,
        health: Health,
    ) -> Result<Self, OpenError> {
        let installation = || settings.installation.clone();
        let breakers = &shared.metrics.breakers;
        let control = settings.api.database.as_ref().map(Database::open).transpose()?;
        // It has a breaker of its own: it can do without for a while.
        let table = control.as_ref().map(|database| Tokens::new(database.clone(), installation()));
        let book = table.map(|table| Book::new(table, breakers));
        // Nobody waits for a connection that can't be had.
        let control = control.map(|database| database.guarded(breakers, "control"));
        let record = record.map(|database| database.guarded(breakers, "record"));
        let kubernetes =
            kubernetes.map(|client| Kubernetes::new(client, settings.api.audiences.clone()));
        let tables = record.map(|database| Tables {
            broadcasts: Broadcasts::new(database.clone(), installation()),
            sessions: Sessions::new(database.clone(), installation()),
            metrics: StreamMetrics::new(database.clone(), installation()),
            ranges: Semaphore::new(RANGES),
            qualities: Qualities::new(database.clone(), installation()),
        });
        let redis = Redis::connect(&settings.redis.keys, "keys")?;
        let control = control.map(|database| Control {
            keys: KeyRing::new(
                Keys::new(database.clone(), installation()),
                Verdicts::new(redis, installation()),
                Hasher::new(Hasher::DEFAULT_COST, HASHES),
            ),
            tokens: Tokens::new(database.clone(), installation()),
            registry: Registry::new(database, installation()),
        });
        let endings = |kafka| Endings::open(kafka, &settings.installation);
        let kafka = settings.kafka.clone();
        Ok(Self {
            gate: Arc::new(Gate::new(book, kubernetes, settings.proxies.clone())),
            shared: shared.clone(),
            health,
            events: kafka.map(|kafka| NewestEvents::new(kafka, &settings.installation)),
            endings: settings.kafka.as_ref().map(endings).transpose()?,
            record: tables.map(Arc::new),
            control: control.map(Arc::new),
        })
    }

    /// The record.
    pub fn record(&self) -> Result<&Tables, ApiProblem> {
        let missing = || ApiProblem::unavailable("nothing is recorded: DATABASE_URL is not set");
        self.record.as_deref().ok_or_else(missing)
    }

    /// What only the API may.
    pub fn control(&self) -> Result<&Control, ApiProblem> {
        let missing = || ApiProblem::unavailable("this needs DATABASE_API_URL, which is not set");
        self.control.as_deref().ok_or_else(missing)
    }

    /// Ends broadcasts.
    pub fn endings(&self) -> Result<&Endings, ApiProblem> {
        let missing = || ApiProblem::unavailable("there is no log: KAFKA_BROKERS is not set");
        self.endings.as_ref().ok_or_else(missing)
    }

    /// The LiveStreams there are, where it is known.
    pub fn registry(&self) -> Option<&Registry> {
        self.control.as_ref().map(|control| &control.registry)
    }
}
