//! Who watches: Redis database 3, a sorted set per stream.

use std::time::Duration;

use millrace_media::id::StreamId;

use super::{Redis, RedisError};
use crate::config::Installation;
use crate::names::redis_keys;

/// A viewer not seen for this long is gone.
pub const IDLE: Duration = Duration::from_secs(30);

/// Presence of viewers. Times are unix seconds, passed in.
#[derive(Debug, Clone)]
pub struct Viewers {
    redis: Redis,
    installation: Installation,
}

impl Viewers {
    /// On database 3.
    pub fn new(redis: Redis, installation: Installation) -> Self {
        Self { redis, installation }
    }

    /// These viewers of a stream were seen now; forgets those who are gone.
    pub async fn seen(
        &self,
        stream: &StreamId,
        viewers: &[String],
        now: u64,
    ) -> Result<(), RedisError> {
        if viewers.is_empty() {
            return Ok(());
        }
        let key = redis_keys::viewers(&self.installation, stream);
        let mut commands = redis::pipe();
        let add = commands.cmd("ZADD").arg(&key);
        for viewer in viewers {
            add.arg(now).arg(viewer);
        }
        commands.ignore();
        let gone = now.saturating_sub(IDLE.as_secs());
        commands.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(format!("({gone}")).ignore();
        commands.cmd("EXPIRE").arg(&key).arg(IDLE.as_secs() * 2).ignore();
        self.redis.pipeline(&commands, || format!("note the viewers of {stream}")).await
    }

    /// How many watch a stream now.
    pub async fn count(&self, stream: &StreamId, now: u64) -> Result<u64, RedisError> {
        let mut count = redis::cmd("ZCOUNT");
        count
            .arg(redis_keys::viewers(&self.installation, stream))
            .arg(now.saturating_sub(IDLE.as_secs()))
            .arg("+inf");
        self.redis.query(&count, || format!("count the viewers of {stream}")).await
    }
}
