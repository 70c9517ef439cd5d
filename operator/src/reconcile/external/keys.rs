//! Postgres: a row for each key in the stream's Secret, which is the truth.
//!
//! A row that is missing, or says something else, is written again; a row of
//! the spec's that the Secret doesn't hold is revoked and the revocation
//! announced, so that ingest drops its publisher. Keys made by the API are
//! never touched.

use millrace_media::id::PublishKey;
use millrace_platform::postgres::keys::{KeySource, NewKey, StoredKey};
use tracing::info;

use super::{External, ExternalError};
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::validated::ValidatedStream;

/// A key as its row should say.
struct Wanted<'a> {
    key: &'a PublishKey,
    name: &'a str,
    expires_ms: Option<i64>,
}

pub(super) async fn apply(
    outside: &External,
    stream: &ValidatedStream,
    keys: &StreamKeys,
) -> Result<(), ExternalError> {
    let wanted = wanted(keys);
    let stored = outside.keys.list(&stream.id).await?;
    for key in &wanted {
        let row = stored.iter().find(|row| &row.key.id == key.key.id());
        if !is_right(outside, stream, key, row).await? {
            write(outside, stream, key).await?;
        }
    }
    let obsolete = stored.iter().filter(|row| {
        row.active
            && row.key.source == KeySource::Spec
            && !wanted.iter().any(|key| key.key.id() == &row.key.id)
    });
    for row in obsolete {
        outside.keys.revoke(&row.key.id).await?;
        outside.verdicts.revoke(&row.key.id).await?;
        info!(stream = %stream.id, key = %row.key.id, "publish key revoked");
    }
    Ok(())
}

fn wanted(keys: &StreamKeys) -> Vec<Wanted<'_>> {
    let mut wanted = Vec::new();
    for (name, key) in &keys.0 {
        wanted.push(Wanted { key: &key.current, name, expires_ms: None });
        if let Some(previous) = &key.previous {
            let expires_ms = Some(previous.until.saturating_mul(1_000));
            wanted.push(Wanted { key: &previous.key, name, expires_ms });
        }
    }
    wanted
}

async fn is_right(
    outside: &External,
    stream: &ValidatedStream,
    key: &Wanted<'_>,
    row: Option<&StoredKey>,
) -> Result<bool, ExternalError> {
    let Some(row) = row else { return Ok(false) };
    let same = row.active
        && row.key.name == key.name
        && row.key.broadcaster == stream.broadcaster.as_str()
        && row.key.expires_ms == key.expires_ms;
    Ok(same && outside.hasher.verify(key.key, &row.key.hash).await?)
}

async fn write(
    outside: &External,
    stream: &ValidatedStream,
    key: &Wanted<'_>,
) -> Result<(), ExternalError> {
    let row = NewKey {
        id: key.key.id().clone(),
        stream: stream.id.clone(),
        name: key.name.to_owned(),
        broadcaster: stream.broadcaster.as_str().to_owned(),
        hash: outside.hasher.hash(key.key).await?,
        source: KeySource::Spec,
        expires_ms: key.expires_ms,
    };
    outside.keys.upsert(&row).await?;
    // Whatever is cached about it was said of the row before.
    outside.verdicts.revoke(&row.id).await?;
    info!(stream = %stream.id, key = %row.id, name = key.name, "publish key stored");
    Ok(())
}
