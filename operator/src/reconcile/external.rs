//! What a stream has outside Kubernetes, made so: its keys' rows in Postgres
//! ([`keys`]), its topics in Kafka ([`topics`]); and what is told of it
//! ([`events`]). Idempotent: a second run finds
//! everything as it should be and writes nothing.

pub mod events;
pub mod keys;
pub mod outside;
pub mod topics;

use millrace_platform::config::{
    ConfigError, DatabaseConfig, Env, Installation, KafkaConfig, RedisConfig,
};
use millrace_platform::kafka::{Admin, KafkaError};
use millrace_platform::keys::{Hasher, KeyError, KeyRing, Verdicts};
use millrace_platform::postgres::keys::Keys;
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::redis::{Redis, RedisError};

use super::build::publish_keys_secret::StreamKeys;
use super::validated::ValidatedStream;

/// What can't be made outside.
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
}

impl ExternalError {
    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Postgres(error) => error.is_transient(),
            Self::Redis(error) => error.is_transient(),
            Self::Kafka(error) => error.is_transient(),
            Self::Keys(error) => error.is_transient(),
            Self::Config(_) => false,
        }
    }
}

/// Connections to what is outside.
#[derive(Debug, Clone)]
pub struct External {
    keys: KeyRing,
    database: Database,
    outbox: Outbox,
    admin: Admin,
    installation: Installation,
}

impl External {
    /// Open them. Asks no server yet.
    pub fn open(env: &Env) -> Result<Self, ExternalError> {
        let installation = Installation::read(env);
        let database = DatabaseConfig::read(env);
        let redis = RedisConfig::read(env);
        let kafka = KafkaConfig::read(env);
        let hasher = Hasher::read(env);
        env.report()?;
        let installation = installation.map_err(ConfigError::from)?;
        let database = Database::open(&database.map_err(ConfigError::from)?)?;
        let redis = Redis::connect(&redis.map_err(ConfigError::from)?.keys, "keys")?;
        let (table, verdicts) = (
            Keys::new(database.clone(), installation.clone()),
            Verdicts::new(redis, installation.clone()),
        );
        Ok(Self {
            keys: KeyRing::new(table, verdicts, hasher.map_err(ConfigError::from)?),
            outbox: Outbox::new(database.clone(), installation.clone()),
            database,
            admin: Admin::open(&kafka.map_err(ConfigError::from)?)?,
            installation,
        })
    }
}

/// Make one stream's things so.
pub async fn apply(
    outside: &External,
    stream: &ValidatedStream,
    keys: &StreamKeys,
) -> Result<(), ExternalError> {
    // Topics first: a key that is good admits a publisher at once.
    topics::apply(outside, stream).await?;
    keys::apply(outside, stream, keys).await
}
