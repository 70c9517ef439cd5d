//! The external stage as the status sees it: one verdict for each condition.

use super::{External, StepError, make};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::run::Failure;
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
    /// What failed.
    pub failures: Vec<Failure>,
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
        self.failures.push(Failure::from(error));
        Verdict::of(table::failure(condition, error.reason()), error.message())
    }
}

/// Make one stream's things so. Without `keys` their rows are known to be right.
pub async fn apply(
    external: &External,
    stream: &ValidatedStream,
    keys: Option<&StreamKeys>,
) -> Outside {
    let done = make(external, stream, keys).await;
    let mut outside = Outside::not_looked_at();
    outside.cache = match done.cache {
        Ok(()) => Verdict::plain(&table::CACHE_READY),
        Err(error) => outside.failed("CacheReady", &error),
    };
    outside.topics = match done.topics {
        Ok(_) => Verdict::plain(&table::TOPICS_READY),
        Err(error) => outside.failed("TopicsReady", &error),
    };
    // What is not registered is not made, and with it would fail the keys.
    outside.keys = match done.registered.and_then(|_| done.keys.map(drop)) {
        Ok(()) => Verdict::plain(&table::KEYS_READY),
        Err(error) => outside.failed("KeysReady", &error),
    };
    outside
}
