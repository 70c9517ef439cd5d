//! What `local` takes from the operator's own environment.

use std::path::Path;

use millrace_platform::config::{
    ConfigError, Env, LogFormat, RedisConfig, StoreConfig, TelemetryConfig,
};

use super::delivery::API_DATABASE;
use super::environment::Entries;
use crate::reconcile::build::Installation;
use crate::reconcile::build::environment::DatabaseRole;

/// Variables that, with these names, are entries of the Secret
/// of connections.
const CONNECTIONS: [&str; 22] = [
    API_DATABASE,
    DatabaseRole::Worker.entry(),
    DatabaseRole::Viewer.entry(),
    "REDIS_URL",
    "REDIS_KEYS_URL",
    "REDIS_MEDIA_URL",
    "REDIS_METRICS_URL",
    "REDIS_VIEWERS_URL",
    "REDIS_CA_FILE",
    "KAFKA_BROKERS",
    "KAFKA_TLS",
    "KAFKA_CA_FILE",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "DATABASE_CA_FILE",
    STORE,
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    "S3_CA_FILE",
];
const STORE: &str = "OBJECT_STORE_URL";
/// Of delivery.
pub(super) const PLAYBACK_KEYS: &str = "PLAYBACK_KEYS_FILE";

/// What a process needs of its host rather than of its manifest.
const ESSENTIALS: [&str; 7] =
    ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What `local` takes from the operator's own environment.
pub(super) struct Settings {
    /// The entries of the Secret of connections.
    pub(super) connections: Entries,
    /// The file of the keys that viewers' tokens are checked with.
    pub(super) playback_keys: Option<String>,
    /// What every child gets besides its rendered environment.
    pub(super) essentials: Entries,
    /// The installation as the builders see it.
    pub(super) installation: Installation,
}

impl Settings {
    /// Read; media is kept under `state` unless OBJECT_STORE_URL says
    /// otherwise. What only the workers use is looked at too: better one
    /// report here than one from each of them.
    pub(super) fn read(env: &Env, state: &Path) -> Result<Self, ConfigError> {
        let pick = |names: &[&str]| -> Entries {
            let pair = |name: &&str| Some(((*name).to_owned(), env.text(name)?.to_owned()));
            names.iter().filter_map(pair).collect()
        };
        let mut connections = pick(&CONNECTIONS);
        connections
            .entry(STORE.to_owned())
            .or_insert_with(|| format!("file://{}", state.join("media").display()));
        // Without roles of their own the workers log in as the operator does.
        let database = env.text("DATABASE_URL").unwrap_or_default();
        for role in [DatabaseRole::Worker, DatabaseRole::Viewer] {
            connections.entry(role.entry().to_owned()).or_insert_with(|| database.to_owned());
        }
        let as_operator = || database.to_owned();
        connections.entry(API_DATABASE.to_owned()).or_insert_with(as_operator);
        if env.text(STORE).is_some() {
            drop(StoreConfig::read(env));
        }
        drop(RedisConfig::read(env));
        let logs = TelemetryConfig::read(env);
        let mock_ffmpeg = env.or("MOCK_FFMPEG", false);
        let ffmpeg_path = env.or("FFMPEG_PATH", "ffmpeg".to_owned());
        let id = millrace_platform::config::Installation::read(env);
        env.report()?;
        let logs = logs?;
        Ok(Self {
            connections,
            playback_keys: env.text(PLAYBACK_KEYS).map(str::to_owned),
            essentials: pick(&ESSENTIALS),
            installation: Installation {
                id: id?.to_string(),
                log_filter: logs.filter,
                log_format: match logs.format {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                }
                .to_owned(),
                mock_ffmpeg: mock_ffmpeg?,
                ffmpeg_path: ffmpeg_path?,
                playback_keys: env.text(PLAYBACK_KEYS).is_some(),
                ..Installation::default()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_logs_in_as_its_role_or_as_the_operator() {
        let read = |pairs: &[(&str, &str)]| {
            let always = [("DATABASE_URL", "postgres://o@h/d"), ("REDIS_URL", "redis://r:1")];
            let env = Env::from_pairs(always.into_iter().chain(pairs.iter().copied()));
            let settings = Settings::read(&env, Path::new("/state")).unwrap();
            ["DATABASE_WORKER_URL", "DATABASE_VIEWER_URL"]
                .map(|name| settings.connections[name].clone())
        };
        assert_eq!(read(&[]), ["postgres://o@h/d", "postgres://o@h/d"]);
        let worker = ("DATABASE_WORKER_URL", "postgres://w@h/d");
        assert_eq!(read(&[worker]), ["postgres://w@h/d", "postgres://o@h/d"]);
    }
}
