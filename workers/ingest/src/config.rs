//! Ingest's settings.

use std::net::SocketAddr;
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::config::{
    ConfigError, DatabaseConfig, Env, Installation, KafkaConfig, RedisConfig, Setting,
    TelemetryConfig,
};

use crate::seat::Takeover;

/// What one stream's publishers may do.
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// `STREAM_ID`.
    pub stream: StreamId,
    /// `RECONNECT_WINDOW_SECONDS`.
    pub reconnect_window: Duration,
    /// `MAX_BITRATE_KBPS`; 0 is no limit.
    pub max_bitrate_kbps: u32,
    /// `TAKEOVER`.
    pub takeover: Takeover,
    /// `RING_MEGABYTES`, in bytes.
    pub ring_bytes: usize,
}

/// All settings of the process.
#[derive(Debug, Clone)]
pub struct Config {
    /// `MILLRACE_INSTALLATION`.
    pub installation: Installation,
    /// The stream.
    pub stream: StreamSettings,
    /// Where RTMP listens.
    pub rtmp: SocketAddr,
    /// Where health and metrics listen.
    pub health: SocketAddr,
    /// Postgres.
    pub database: DatabaseConfig,
    /// Redis.
    pub redis: RedisConfig,
    /// Kafka.
    pub kafka: KafkaConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
}

impl Setting for Takeover {
    const EXPECTED: &'static str = "IfSilent, Always or Never";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Config {
    /// From the environment.
    ///
    /// # Errors
    /// Every setting that is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let installation = Installation::read(env);
        let stream = env.required("STREAM_ID");
        let window = env.within("RECONNECT_WINDOW_SECONDS", 60, 1..=3_600);
        let max_bitrate_kbps = env.within("MAX_BITRATE_KBPS", 0, 0..=1_000_000);
        let takeover = env.or("TAKEOVER", Takeover::default());
        let ring = env.within("RING_MEGABYTES", 64, 1..=4_096);
        let rtmp = env.listen("rtmp", 1935);
        let health = env.listen("health", 8090);
        let database = DatabaseConfig::read(env);
        let redis = RedisConfig::read(env);
        let kafka = KafkaConfig::read(env);
        let telemetry = TelemetryConfig::read(env);
        env.report()?;
        let ring_megabytes: u32 = ring?;
        Ok(Self {
            installation: installation?,
            stream: StreamSettings {
                stream: stream?,
                reconnect_window: Duration::from_secs(window?),
                max_bitrate_kbps: max_bitrate_kbps?,
                takeover: takeover?,
                ring_bytes: usize::try_from(ring_megabytes).unwrap_or(usize::MAX) * 1024 * 1024,
            },
            rtmp: rtmp?,
            health: health?,
            database: database?,
            redis: redis?,
            kafka: kafka?,
            telemetry: telemetry?,
        })
    }
}
