//! Hearing of revoked and changed keys: the channel `key-revoked` in Redis
//! database 0.

use std::time::Duration;

use futures::StreamExt;
use millrace_media::id::KeyId;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::config::Installation;
use crate::names::redis_keys;
use crate::redis::Redis;

/// What comes before the id of a key that has changed. No key id: programs that
/// know only of revoked keys pass over it.
pub(super) const CHANGED: &str = "changed ";
/// After so long a silence the server is asked whether it is there, and has as
/// long to answer.
const BEAT: Duration = Duration::from_millis(500);

/// What is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// This key is no longer right.
    Revoked(KeyId),
    /// Something else about this key is new: ask Postgres.
    Changed(KeyId),
    /// Listening begins, at first or after a gap in which announcements may
    /// have been missed: ask Postgres about all.
    Listening,
    /// Nothing is heard from now on, until the next [`Heard::Listening`].
    Deaf,
}

/// An endless subscription that reconnects by itself.
pub struct Announcements {
    redis: Redis,
    channel: String,
    connection: Option<(PubSubSink, PubSubStream)>,
    backoff: Backoff,
}

impl std::fmt::Debug for Announcements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcements").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Announcements {
    /// On database 0. Connects with the first [`Announcements::next`].
    pub fn new(redis: Redis, installation: &Installation) -> Self {
        Self {
            redis,
            channel: redis_keys::revoked_channel(installation),
            connection: None,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(1)),
        }
    }

    /// The next thing heard; waits as long as it takes. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        loop {
            let Some((sink, messages)) = &mut self.connection else {
                match self.redis.subscribe(&self.channel).await {
                    Ok(connection) => {
                        self.connection = Some(connection.split());
                        self.backoff.reset();
                        return Heard::Listening;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "can't listen for revoked keys");
                        self.backoff.wait().await;
                        continue;
                    }
                }
            };
            match timeout(BEAT, messages.next()).await {
                Ok(Some(message)) => {
                    let text = message.get_payload::<String>().unwrap_or_default();
                    if let Some(heard) = parse(&text) {
                        return heard;
                    }
                }
                // Silence: a server that is gone without a word says nothing too.
                Err(_) if is_there(sink).await => {}
                Ok(None) | Err(_) => {
                    self.connection = None;
                    return Heard::Deaf;
                }
            }
        }
    }
}

async fn is_there(sink: &mut PubSubSink) -> bool {
    matches!(timeout(BEAT, sink.ping::<redis::Value>()).await, Ok(Ok(_)))
}

fn parse(text: &str) -> Option<Heard> {
    match text.strip_prefix(CHANGED) {
        Some(id) => id.parse().ok().map(Heard::Changed),
        None => text.parse().ok().map(Heard::Revoked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_says_which_key_and_what() {
        let id: KeyId = "abcd1234".parse().unwrap();
        assert_eq!(parse("abcd1234"), Some(Heard::Revoked(id.clone())));
        assert_eq!(parse("changed abcd1234"), Some(Heard::Changed(id)));
        for other in ["", "changed ", "renamed abcd1234", "no id!"] {
            assert_eq!(parse(other), None, "{other}");
        }
        // What version 1 does with it.
        assert!("changed abcd1234".parse::<KeyId>().is_err());
    }
}
