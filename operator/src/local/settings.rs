//! What `local` takes from the operator's own environment.

use std::path::Path;

use super::environment::Entries;
use crate::reconcile::build::Installation;

/// Variables that, with these names, are entries of the Secret
/// `millrace-connections`.
const CONNECTIONS: [&str; 12] = [
    "DATABASE_URL",
    "REDIS_URL",
    "REDIS_KEYS_URL",
    "REDIS_MEDIA_URL",
    "REDIS_METRICS_URL",
    "REDIS_VIEWERS_URL",
    "KAFKA_BROKERS",
    "OBJECT_STORE_URL",
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
];

/// What a process needs of its host rather than of its manifest.
const ESSENTIALS: [&str; 7] =
    ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What `local` takes from the operator's own environment.
pub(super) struct Settings {
    /// The entries of `millrace-connections`.
    pub(super) connections: Entries,
    /// What every child gets besides its rendered environment.
    pub(super) essentials: Entries,
    /// The installation as the builders see it.
    pub(super) installation: Installation,
}

impl Settings {
    /// Read with `get`, normally `std::env::var`; media is kept under
    /// `state` unless OBJECT_STORE_URL says otherwise.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>, state: &Path) -> Self {
        let pick = |names: &[&str]| -> Entries {
            names.iter().filter_map(|name| Some(((*name).to_owned(), get(name)?))).collect()
        };
        let mut connections = pick(&CONNECTIONS);
        connections
            .entry("OBJECT_STORE_URL".to_owned())
            .or_insert_with(|| format!("file://{}", state.join("media").display()));
        let or = |name: &str, default: &str| get(name).unwrap_or_else(|| default.to_owned());
        Self {
            connections,
            essentials: pick(&ESSENTIALS),
            installation: Installation {
                id: or("MILLRACE_INSTALLATION", ""),
                log_filter: or("RUST_LOG", "info"),
                log_format: or("LOG_FORMAT", "text"),
                mock_ffmpeg: get("MOCK_FFMPEG").is_some_and(|value| value == "true"),
                ffmpeg_path: or("FFMPEG_PATH", "ffmpeg"),
                ..Installation::default()
            },
        }
    }
}
