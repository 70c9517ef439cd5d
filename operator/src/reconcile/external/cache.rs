//! Redis: whether the caches can be had. Nothing is made there ahead of time.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use millrace_platform::redis::Redis;

use super::{External, StepError};

/// What was seen is not asked again for so long.
const LIFE: Duration = Duration::from_secs(5);

/// Ask all four databases whether they are there.
///
/// # Errors
/// `RedisUnavailable`, `RedisRefused`.
pub async fn check(outside: &External) -> Result<(), StepError> {
    if outside.redis_seen.holds(&(), &(), LIFE, Instant::now()) {
        return Ok(());
    }
    let all = try_join_all(outside.redis.iter().map(Redis::ping));
    let done = outside.guards.redis.call(all).await;
    match &done {
        Ok(_) => outside.redis_seen.note(&(), &(), Instant::now()),
        Err(_) => outside.redis_seen.forget(&()),
    }
    done.map(drop)
}
