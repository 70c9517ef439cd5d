//! Postgres: the row that says that this LiveStream has something outside, and
//! the event that tells of it, committed together.

use std::time::{Duration, Instant};

use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::registry::{Keep, Noted, Registration};
use millrace_platform::wall;

use super::{Done, External, StepError, events};
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
    let done = outside.guards.postgres.call(write(outside, stream, &livestream)).await?;
    outside.registered.note(&uid, &livestream, Instant::now());
    Ok(done)
}

async fn write(
    outside: &External,
    stream: &ValidatedStream,
    livestream: &Registration,
) -> Result<Done, DatabaseError> {
    if outside.registry.is_registered(livestream).await? {
        return Ok(Done::Unchanged);
    }
    let mut transaction = outside.database.begin().await?;
    let noted = outside.registry.register(&mut transaction, livestream).await?;
    if noted == Noted::New {
        let event = events::event(stream, wall::ms());
        outside.outbox.append(&mut transaction, "operator", &[event]).await?;
    }
    transaction.commit().await?;
    Ok(if noted == Noted::Unchanged { Done::Unchanged } else { Done::Written })
}

/// What is registered of a stream.
pub fn registration(stream: &ValidatedStream) -> Registration {
    Registration {
        uid: stream.uid.as_str().to_owned(),
        stream: stream.id.clone(),
        broadcaster: stream.broadcaster.as_str().to_owned(),
        keep: stream.deletion_policy.into(),
    }
}

impl From<DeletionPolicy> for Keep {
    fn from(policy: DeletionPolicy) -> Self {
        match policy {
            DeletionPolicy::Retain => Self::Retain,
            DeletionPolicy::Delete => Self::Delete,
        }
    }
}
