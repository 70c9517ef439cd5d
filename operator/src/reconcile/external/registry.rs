//! Postgres: the row that says that this LiveStream has something outside.

use std::time::{Duration, Instant};

use millrace_platform::postgres::registry::{Keep, Registration};

use super::{Done, External, StepError};
use crate::api::deletion::DeletionPolicy;
use crate::reconcile::validated::ValidatedStream;

/// What was registered is not asked about again for so long.
const LIFE: Duration = Duration::from_mins(10);

/// Register the stream: before anything else of it is made outside.
///
/// # Errors
/// `PostgresUnavailable`, `PostgresRefused`.
pub async fn register(outside: &External, stream: &ValidatedStream) -> Result<Done, StepError> {
    let livestream = registration(stream);
    let uid = livestream.uid.clone();
    if outside.registered.holds(&uid, &livestream, LIFE, Instant::now()) {
        return Ok(Done::Unchanged);
    }
    let news = outside.guards.postgres.call(outside.registry.register(&livestream)).await?;
    outside.registered.note(uid, livestream, Instant::now());
    Ok(if news { Done::Written } else { Done::Unchanged })
}

fn registration(stream: &ValidatedStream) -> Registration {
    Registration {
        uid: stream.uid.as_str().to_owned(),
        stream: stream.id.clone(),
        broadcaster: stream.broadcaster.as_str().to_owned(),
        keep: match stream.deletion_policy {
            DeletionPolicy::Retain => Keep::Retain,
            DeletionPolicy::Delete => Keep::Delete,
        },
    }
}
