//! All steps of one stream, each with its own outcome.

use super::{Done, External, StepError, cache, keys, registry, topics};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::validated::ValidatedStream;
use millrace_platform::keys::Followed;

/// How the steps went.
#[derive(Debug, Clone)]
pub struct Outcomes {
    /// The row in the register.
    pub registered: Result<Done, StepError>,
    /// The topics.
    pub topics: Result<Done, StepError>,
    /// The rows of the keys.
    pub keys: Result<Followed, StepError>,
    /// Whether the caches can be had.
    pub cache: Result<(), StepError>,
}

impl Outcomes {
    /// What went wrong.
    pub fn errors(&self) -> impl Iterator<Item = &StepError> {
        let errors = [
            self.registered.as_ref().err(),
            self.topics.as_ref().err(),
            self.keys.as_ref().err(),
            self.cache.as_ref().err(),
        ];
        errors.into_iter().flatten()
    }

    /// Something was written.
    pub fn wrote(&self) -> bool {
        matches!(self.registered, Ok(Done::Written))
            || matches!(self.topics, Ok(Done::Written))
            || self.keys.as_ref().is_ok_and(|followed| !followed.is_unchanged())
    }
}

/// Make one stream's things so. What can be done is done, whatever can't; but
/// no topic is made that the sweep would not know of. Without `keys` their rows
/// are known to be right.
pub async fn make(
    outside: &External,
    stream: &ValidatedStream,
    keys: Option<&StreamKeys>,
) -> Outcomes {
    let topics = async {
        let registered = registry::register(outside, stream).await;
        let topics = match &registered {
            Ok(_) => topics::ensure(outside, stream).await,
            Err(error) => topics::find(outside, stream, error).await,
        };
        (registered, topics)
    };
    let keys = async {
        match keys {
            Some(keys) => keys::follow(outside, stream, keys).await,
            None => Ok(Followed::default()),
        }
    };
    let ((registered, topics), keys, cache) = tokio::join!(topics, keys, cache::check(outside));
    Outcomes { registered, topics, keys, cache }
}
