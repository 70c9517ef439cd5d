//! The external stage as the status sees it: one verdict for each service.

use tracing::debug;

use super::{External, ExternalError, keys, topics};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::run::chain;
use crate::reconcile::status::{Verdict, table};
use crate::reconcile::validated::ValidatedStream;

/// What became of it.
#[derive(Debug, Clone)]
pub struct Verdicts {
    /// The keys' rows.
    pub keys: Verdict,
    /// The topics.
    pub topics: Verdict,
    /// The caches.
    pub cache: Verdict,
    /// What failed, in sentences.
    pub failures: Vec<String>,
}

impl Verdicts {
    /// Nothing was tried.
    pub fn not_looked_at() -> Self {
        Self {
            keys: Verdict::plain(&table::KEYS_UNKNOWN),
            topics: Verdict::plain(&table::TOPICS_UNKNOWN),
            cache: Verdict::plain(&table::CACHE_UNKNOWN),
            failures: Vec::new(),
        }
    }
}

/// Make one stream's things so. One service that is away does not keep the
/// others from being asked.
pub async fn apply(external: &External, stream: &ValidatedStream, wanted: &StreamKeys) -> Verdicts {
    let mut failures = Vec::new();
    // Topics first: a key that is good admits a publisher at once.
    let topics = match topics::apply(external, stream).await {
        Ok(()) => Verdict::plain(&table::TOPICS_READY),
        Err(error) => {
            let why = chain(&error);
            failures.push(why.clone());
            let row = if error.is_transient() {
                &table::TOPICS_UNAVAILABLE
            } else {
                &table::TOPICS_FAILED
            };
            Verdict::of(row, why)
        }
    };
    let keys = match keys::apply(external, stream, wanted).await {
        Ok(()) => Verdict::plain(&table::KEYS_READY),
        Err(error) => {
            let why = chain(&error);
            failures.push(why.clone());
            let row = match &error {
                ExternalError::Redis(_) => &table::KEYS_CACHE_UNAVAILABLE,
                error if error.is_transient() => &table::KEYS_UNAVAILABLE,
                _ => &table::KEYS_FAILED,
            };
            Verdict::of(row, why)
        }
    };
    debug!(stream = %stream.id, ?failures, "external");
    Verdicts { keys, topics, cache: Verdict::plain(&table::CACHE_READY), failures }
}
