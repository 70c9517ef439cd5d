//! What a stream has outside Kubernetes, made so. Idempotent: a second run
//! finds everything as it should be.

use super::build::publish_keys_secret::StreamKeys;
use super::validated::ValidatedStream;

/// What can't be made outside.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// A connection setting is missing.
    #[error("{0} is not set")]
    Missing(&'static str),
}

/// Connections to what is outside.
pub struct External {}

impl External {
    #[expect(clippy::unused_async, reason = "the connections are not made yet")]
    /// Connect, with settings by name.
    pub async fn connect(
        get: impl Fn(&str) -> Option<String>,
        _installation: &str,
    ) -> Result<Self, ExternalError> {
        for name in ["DATABASE_URL", "KAFKA_BROKERS"] {
            get(name).ok_or(ExternalError::Missing(name))?;
        }
        Ok(Self {})
    }
}

/// Make it so.
#[expect(clippy::unused_async, reason = "the connections are not made yet")]
pub async fn apply(
    _outside: &External,
    _stream: &ValidatedStream,
    _keys: &StreamKeys,
) -> Result<(), ExternalError> {
    Ok(())
}
