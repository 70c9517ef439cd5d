//! What a stream that is gone has in Redis, deleted. Verdicts on its keys
//! (database 0) are [`KeyRing::revoke_all`](crate::keys::KeyRing::revoke_all)'s.

use millrace_media::id::StreamId;

use super::{Redis, RedisError};
use crate::config::Installation;
use crate::names::redis_keys::{self, MediaKeys, ViewerKeys};

/// Keys that the server looks at in one go.
const COUNT: u32 = 1_000;
/// Keys deleted in one command.
const BATCH: usize = 500;

/// Deletes keys of streams in databases 1 to 3.
#[derive(Debug, Clone)]
pub struct Cleaning {
    media: Redis,
    metrics: Redis,
    viewers: Redis,
    installation: Installation,
}

impl Cleaning {
    /// Of one installation.
    pub fn new(media: Redis, metrics: Redis, viewers: Redis, installation: Installation) -> Self {
        Self { media, metrics, viewers, installation }
    }

    /// Deletes all keys of the stream; again is harmless. Another
    /// installation's stream of the same name is left alone.
    pub async fn forget(&self, stream: &StreamId) -> Result<(), RedisError> {
        self.forget_viewers(stream).await?;
        self.forget_metrics(stream).await?;
        self.forget_media(stream).await
    }

    async fn forget_viewers(&self, stream: &StreamId) -> Result<(), RedisError> {
        let keys = ViewerKeys::new(&self.installation, stream);
        let all = [
            keys.viewers(),
            keys.visits(),
            keys.rungs(),
            keys.covered(),
            keys.turnover(),
            keys.salt(),
        ];
        unlink(&self.viewers, stream, &all).await
    }

    /// Counters of single seconds are gone by themselves after five.
    async fn forget_metrics(&self, stream: &StreamId) -> Result<(), RedisError> {
        let what = || format!("forget the metrics of {stream}");
        let mut commands = redis::pipe();
        commands
            .cmd("ZREM")
            .arg(redis_keys::live_streams(&self.installation))
            .arg(stream.as_str())
            .ignore()
            .cmd("UNLINK")
            .arg(redis_keys::snapshot(&self.installation, stream))
            .ignore();
        self.metrics.pipeline(&commands, what).await
    }

    /// Names of parts and segments are known only by their beginnings.
    async fn forget_media(&self, stream: &StreamId) -> Result<(), RedisError> {
        let keys = MediaKeys::new(&self.installation, stream);
        unlink(&self.media, stream, &[keys.broadcast(), keys.writer()]).await?;
        let beginnings = keys.beginnings();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("*{{{stream}}}:*")).arg("COUNT").arg(COUNT);
            let what = || format!("look for the media of {stream}");
            let (next, found): (u64, Vec<String>) = self.media.query(&scan, what).await?;
            // The pattern takes every installation's.
            let ours = |key: &String| beginnings.iter().any(|begin| key.starts_with(begin));
            let ours: Vec<_> = found.into_iter().filter(ours).collect();
            for some in ours.chunks(BATCH) {
                unlink(&self.media, stream, some).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

async fn unlink(redis: &Redis, stream: &StreamId, keys: &[String]) -> Result<(), RedisError> {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(keys);
    redis.query(&unlink, || format!("delete {} keys of {stream}", keys.len())).await
}
