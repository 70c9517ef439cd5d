//! Postgres: a row for each key in the stream's Secret, which is the truth.

use millrace_platform::keys::SpecKey;

use super::{External, ExternalError};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::validated::ValidatedStream;

pub(super) async fn apply(
    outside: &External,
    stream: &ValidatedStream,
    keys: &StreamKeys,
) -> Result<(), ExternalError> {
    let wanted = wanted(keys);
    Ok(outside.keys.follow_spec(&stream.id, stream.broadcaster.as_str(), &wanted).await?)
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
