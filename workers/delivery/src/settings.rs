//! What is set from outside, read once from the environment.

use std::net::SocketAddr;
use std::time::Duration;

use millrace_platform::config::{
    ConfigError, DatabaseConfig, Env, Installation, KafkaConfig, RedisConfig, StoreConfig,
    TelemetryConfig,
};

use crate::access::PlaybackSettings;
use crate::audience::proxies::Proxies;
use crate::http::cdn::Cdn;
use crate::socket::client::Pace;
use crate::socket::seats::Bounds;

/// All settings of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The viewers' listener (`HTTP_PORT`).
    pub viewers: SocketAddr,
    /// The administrators' listener (`ADMIN_PORT`).
    pub admin: SocketAddr,
    /// Redis.
    pub redis: RedisConfig,
    /// The object store.
    pub store: StoreConfig,
    /// Postgres (`DATABASE_URL`); without it nothing is recorded.
    pub database: Option<DatabaseConfig>,
    /// How the administrators' API lets people in.
    pub api: ApiSettings,
    /// How long what is recorded is kept.
    pub retention: Retention,
    /// Kafka (`KAFKA_BROKERS`); without it no events are relayed.
    pub kafka: Option<KafkaConfig>,
    /// Prefix of keys and objects.
    pub installation: Installation,
    /// Logs.
    pub telemetry: TelemetryConfig,
    /// What one replica takes on.
    pub limits: Limits,
    /// Whose X-Forwarded-For is believed (`DELIVERY_TRUSTED_PROXIES`).
    pub proxies: Proxies,
    /// Who is in front (`ORIGIN_SECRET` and others).
    pub cdn: Cdn,
    /// How tokens are checked (`PLAYBACK_KEYS_FILE` and others).
    pub playback: PlaybackSettings,
    /// How long clients of the WebSocket may take; not from the environment.
    pub pace: Pace,
}

impl Settings {
    /// From the environment; reports all that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let viewers = env.listen("http", 8080);
        let admin = env.listen("admin", 8081);
        let redis = RedisConfig::read(env);
        let store = StoreConfig::read(env);
        let database = env.text("DATABASE_URL").map(|_| DatabaseConfig::read(env)).transpose();
        let api = ApiSettings::read(env);
        let retention = Retention::read(env);
        let kafka = env.text("KAFKA_BROKERS").map(|_| KafkaConfig::read(env)).transpose();
        let installation = Installation::read(env);
        let telemetry = TelemetryConfig::read(env);
        let limits = Limits::read(env);
        let proxies = env.or("DELIVERY_TRUSTED_PROXIES", Proxies::default());
        let cdn = Cdn::read(env);
        let playback = PlaybackSettings::read(env);
        env.report()?;
        Ok(Self {
            viewers: viewers?,
            admin: admin?,
            redis: redis?,
            store: store?,
            database: database?,
            api: api?,
            retention: retention?,
            kafka: kafka?,
            installation: installation?,
            telemetry: telemetry?,
            limits: limits?,
            proxies: proxies?,
            cdn: cdn?,
            playback: playback?,
            pace: Pace::default(),
        })
    }
}

/// How the administrators' API lets people in, and what it may touch.
#[derive(Debug, Clone, Default)]
pub struct ApiSettings {
    /// Postgres as a role that may touch keys and tokens (`DATABASE_API_URL`);
    /// without it they can't be used.
    pub database: Option<DatabaseConfig>,
    /// Whom a Kubernetes token must be for (`API_TOKEN_AUDIENCES`); without any
    /// the API server.
    pub audiences: Vec<String>,
}

impl ApiSettings {
    fn read(env: &Env) -> Result<Self, ConfigError> {
        let url = "DATABASE_API_URL";
        let database = env.text(url).map(|_| DatabaseConfig::read_as(env, url)).transpose();
        let audiences = env.text("API_TOKEN_AUDIENCES").unwrap_or_default().split(',');
        let audiences = audiences.map(str::trim).filter(|name| !name.is_empty());
        Ok(Self { audiences: audiences.map(str::to_owned).collect(), database: database? })
    }
}

/// How long what is recorded is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The seconds of streams (`METRICS_RETENTION_DAYS`).
    pub metrics: Duration,
    /// The sessions of viewers, after they ended (`SESSIONS_RETENTION_DAYS`).
    pub sessions: Duration,
}

impl Retention {
    fn read(env: &Env) -> Result<Self, ConfigError> {
        let metrics = env.within("METRICS_RETENTION_DAYS", 30, 1..=3_650);
        let sessions = env.within("SESSIONS_RETENTION_DAYS", 90, 1..=3_650);
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Ok(Self { metrics: days(metrics?), sessions: days(sessions?) })
    }
}

/// Bounds of what one replica takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of media kept in memory (`DELIVERY_CACHE_MEGABYTES`).
    pub cache_bytes: u64,
    /// Streams followed at a time (`DELIVERY_MAX_STREAMS`).
    pub max_streams: usize,
    /// Requests blocked at a time (`DELIVERY_MAX_WAITERS`).
    pub max_waiters: usize,
    /// Viewers' connections (`DELIVERY_MAX_CONNECTIONS`).
    pub max_connections: usize,
    /// New viewers of one address, or IPv6 /64, in a minute
    /// (`DELIVERY_NEW_VIEWERS_PER_MINUTE`); more are not counted.
    pub arrivals: u32,
    /// Clients of the WebSocket.
    pub sockets: Bounds,
}

impl Limits {
    fn read(env: &Env) -> Result<Self, ConfigError> {
        let default = Self::default();
        let cache_megabytes =
            env.within("DELIVERY_CACHE_MEGABYTES", default.cache_bytes / MEGABYTE, 1..=1_000_000);
        let max_streams = env.within("DELIVERY_MAX_STREAMS", default.max_streams, 1..=100_000);
        let max_waiters = env.within("DELIVERY_MAX_WAITERS", default.max_waiters, 1..=1_000_000);
        let max_connections =
            env.within("DELIVERY_MAX_CONNECTIONS", default.max_connections, 1..=1_000_000);
        let arrivals =
            env.within("DELIVERY_NEW_VIEWERS_PER_MINUTE", default.arrivals, 1..=1_000_000);
        let Bounds { all, per_address } = default.sockets;
        let sockets = env.within("DELIVERY_MAX_SOCKETS", all, 1..=1_000_000);
        let per_address = env.within("DELIVERY_SOCKETS_PER_ADDRESS", per_address, 1..=1_000_000);
        Ok(Self {
            cache_bytes: cache_megabytes? * MEGABYTE,
            max_streams: max_streams?,
            max_waiters: max_waiters?,
            max_connections: max_connections?,
            arrivals: arrivals?,
            sockets: Bounds { all: sockets?, per_address: per_address? },
        })
    }
}

const MEGABYTE: u64 = 1_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            cache_bytes: 256 * MEGABYTE,
            max_streams: 512,
            max_waiters: 20_000,
            max_connections: 20_000,
            arrivals: 600,
            sockets: Bounds { all: 10_000, per_address: 500 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wrong_settings_are_reported_at_once() {
        let wrong = [
            ("HTTP_PORT", "x"),
            ("OBJECT_STORE_URL", "file:///media"),
            ("DELIVERY_CACHE_MEGABYTES", "0"),
        ];
        let error = Settings::read(&Env::from_pairs(wrong)).unwrap_err();
        let names: Vec<_> = error.problems.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["HTTP_PORT", "REDIS_URL", "DELIVERY_CACHE_MEGABYTES"]);
    }
}
