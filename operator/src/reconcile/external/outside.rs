//! The external stage as the status sees it: one verdict for each condition.

use super::{External, Service, StepError, cache, keys, registry, topics};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::status::{Verdict, table};
use crate::reconcile::validated::ValidatedStream;

/// What became of it.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The keys' rows.
    pub keys: Verdict,
    /// The topics.
    pub topics: Verdict,
    /// The caches.
    pub cache: Verdict,
    /// What failed, in sentences.
    pub failures: Vec<String>,
}

impl Outside {
    /// Nothing was tried.
    pub fn not_looked_at() -> Self {
        Self {
            keys: Verdict::plain(&table::KEYS_UNKNOWN),
            topics: Verdict::plain(&table::TOPICS_UNKNOWN),
            cache: Verdict::plain(&table::CACHE_UNKNOWN),
            failures: Vec::new(),
        }
    }

    fn failed(&mut self, condition: &str, error: &StepError) -> Verdict {
        self.failures.push(error.message());
        Verdict::of(table::failure(condition, error.reason()), error.message())
    }
}

/// Make one stream's things so. A service that is away does not keep the
/// others from being asked.
pub async fn apply(external: &External, stream: &ValidatedStream, wanted: &StreamKeys) -> Outside {
    let mut outside = Outside::not_looked_at();
    outside.cache = match cache::check(external).await {
        Ok(()) => Verdict::plain(&table::CACHE_READY),
        Err(error) => outside.failed("CacheReady", &error),
    };
    // What is not registered would never be cleaned up.
    if let Err(error) = registry::register(external, stream).await {
        outside.keys = outside.failed("KeysReady", &error);
        return outside;
    }
    // Topics before keys: a key that is good admits a publisher at once.
    outside.topics = match topics::ensure(external, stream).await {
        Ok(_) => Verdict::plain(&table::TOPICS_READY),
        Err(error) => outside.failed("TopicsReady", &error),
    };
    outside.keys = match keys::follow(external, stream, wanted).await {
        Ok(_) => Verdict::plain(&table::KEYS_READY),
        // What Redis holds of keys is announced again by the next try.
        Err(error) if error.service() == Some(Service::Redis) => {
            outside.failures.push(error.message());
            Verdict::of(&table::KEYS_CACHE_UNAVAILABLE, error.message())
        }
        Err(error) => outside.failed("KeysReady", &error),
    };
    outside
}
