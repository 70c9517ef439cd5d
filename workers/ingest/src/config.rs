//! Ingest's settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::config::{
    ConfigError, DatabaseConfig, Env, Installation, KafkaConfig, Problem, RedisConfig, Setting,
    TelemetryConfig,
};

use crate::seat::Takeover;
use crate::tls::TlsFiles;

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

/// The one listener for publishers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// `RTMP_PORT`.
    Rtmp(SocketAddr),
    /// `RTMPS_PORT`, and nothing on `RTMP_PORT`: nobody's key must cross the
    /// network in the clear by mistake.
    Rtmps(SocketAddr, TlsFiles),
}

impl Entrance {
    fn read(env: &Env) -> Result<Self, Problem> {
        let (cert, key) = ("RTMPS_CERT_FILE", "RTMPS_KEY_FILE");
        let files = (env.optional::<PathBuf>(cert)?, env.optional::<PathBuf>(key)?);
        let alone = |set: &str, unset: &str| {
            env.note(unset, "not set", format!("a path, as {set} is set (both or neither)"))
        };
        match files {
            (None, None) => env.listen("rtmp", 1935).map(Self::Rtmp),
            (Some(certificate), Some(key)) => {
                let address = env.listen("rtmps", 1936)?;
                Ok(Self::Rtmps(address, TlsFiles { certificate, key }))
            }
            (Some(_), None) => Err(alone(cert, key)),
            (None, Some(_)) => Err(alone(key, cert)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Rtmp(address) | Self::Rtmps(address, _) => *address,
        }
    }
}

/// All settings of the process.
#[derive(Debug, Clone)]
pub struct Config {
    /// `MILLRACE_INSTALLATION`.
    pub installation: Installation,
    /// The stream.
    pub stream: StreamSettings,
    /// Where publishers connect.
    pub entrance: Entrance,
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
        let entrance = Entrance::read(env);
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
            entrance: entrance?,
            health: health?,
            database: database?,
            redis: redis?,
            kafka: kafka?,
            telemetry: telemetry?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrance(pairs: &[(&str, &str)]) -> Result<Entrance, Problem> {
        Entrance::read(&Env::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn a_certificate_and_its_key_make_it_rtmps_and_one_alone_names_both() {
        let (cert, key) = (("RTMPS_CERT_FILE", "/c"), ("RTMPS_KEY_FILE", "/k"));
        assert_eq!(entrance(&[]).unwrap(), Entrance::Rtmp(([0, 0, 0, 0], 1935).into()));
        let files = TlsFiles { certificate: "/c".into(), key: "/k".into() };
        let both = entrance(&[cert, key, ("RTMPS_PORT", "7")]).unwrap();
        assert_eq!(both, Entrance::Rtmps(([0, 0, 0, 0], 7).into(), files));
        for alone in [cert, key] {
            let problem = entrance(&[alone]).unwrap_err().to_string();
            assert!(problem.contains(cert.0) && problem.contains(key.0), "{problem}");
        }
    }
}
