//! Hearing of revoked keys: the channel `key-revoked` in Redis database 0.

use std::time::Duration;

use futures::StreamExt;
use millrace_media::id::KeyId;

use crate::backoff::Backoff;
use crate::config::Installation;
use crate::names::redis_keys;
use crate::redis::Redis;

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// This key is no longer right.
    Revoked(KeyId),
    /// Listening begins, at first or after a gap in which announcements may
    /// have been missed: ask Postgres about the keys in use.
    Listening,
}

/// An endless subscription that reconnects by itself.
pub struct Revocations {
    redis: Redis,
    channel: String,
    connection: Option<redis::aio::PubSub>,
    backoff: Backoff,
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Revocations {
    /// On database 0. Connects with the first [`Revocations::next`].
    pub fn new(redis: Redis, installation: &Installation) -> Self {
        Self {
            redis,
            channel: redis_keys::revoked_channel(installation),
            connection: None,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
        }
    }

    /// The next thing heard; waits as long as it takes. Cancel-safe.
    pub async fn next(&mut self) -> Revocation {
        loop {
            let Some(connection) = &mut self.connection else {
                match self.redis.subscribe(&self.channel).await {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        self.backoff.reset();
                        return Revocation::Listening;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "can't listen for revoked keys");
                        self.backoff.wait().await;
                        continue;
                    }
                }
            };
            let message = connection.on_message().next().await;
            let Some(message) = message else {
                self.connection = None;
                continue;
            };
            if let Some(id) = message.get_payload::<String>().ok().and_then(|t| t.parse().ok()) {
                return Revocation::Revoked(id);
            }
        }
    }
}
