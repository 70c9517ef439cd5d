//! Postgres: a row for each key in the stream's Secret, which is the truth.

use millrace_platform::keys::{Followed, SpecKey};

use super::{External, StepError};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::validated::ValidatedStream;

/// Make the rows say what the Secret does; what of them was written.
///
/// # Errors
/// `PostgresUnavailable`, `PostgresRefused`, `KeyConflict`, `CleaningUp`,
/// `Failed`. That ingest could not be told of a change is none: it finds out by
/// itself.
pub async fn follow(
    outside: &External,
    stream: &ValidatedStream,
    keys: &StreamKeys,
) -> Result<Followed, StepError> {
    outside.check_not_swept(&stream.id)?;
    let wanted = wanted(keys);
    let work = outside.keys.follow_spec(&stream.id, stream.broadcaster.as_str(), &wanted);
    outside.guards.postgres.call(work).await
}

fn wanted(keys: &StreamKeys) -> Vec<SpecKey<'_>> {
    let mut wanted = Vec::new();
    for (name, key) in &keys.0 {
        wanted.push(SpecKey { key: &key.current, name, expires_ms: None });
        if let Some(previous) = &key.previous {
            let expires_ms = Some(previous.until.saturating_mul(1_000));
            wanted.push(SpecKey { key: &previous.key, name, expires_ms });
        }
    }
    wanted
}
