//! The keys of a LiveStream's spec: a row for each key in the stream's Secret,
//! which is the truth.
//!
//! A row that is missing, or says something else, is written again; a row of
//! the spec's that the Secret doesn't hold is revoked. Keys made by the API are
//! never touched.

use millrace_media::id::{KeyId, PublishKey, StreamId};
use tracing::info;

use super::{KeyError, KeyRing};
use crate::postgres::keys::{KeySource, NewKey, StoredKey};

/// A key in the Secret.
#[derive(Debug, Clone, Copy)]
pub struct SpecKey<'a> {
    /// The key.
    pub key: &'a PublishKey,
    /// Its name in the spec.
    pub name: &'a str,
    /// Not accepted from then on, ms since 1970: of a key that was rotated away.
    pub expires_ms: Option<i64>,
}

/// What was written to make the rows say what the Secret does; nothing when
/// they did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// Keys whose row was written.
    pub stored: Vec<KeyId>,
    /// Keys that were revoked.
    pub revoked: Vec<KeyId>,
}

impl Followed {
    /// Nothing was written.
    pub fn is_unchanged(&self) -> bool {
        self.stored.is_empty() && self.revoked.is_empty()
    }
}

impl KeyRing {
    /// Makes the rows of a stream say what its Secret does. Writes nothing when
    /// they do; bcrypt is asked about a row once in the life of the process. All
    /// that can be done is done, whatever can't.
    ///
    /// # Errors
    /// The first that came up: `Conflict` for a key that was revoked before or
    /// is somebody else's.
    pub async fn follow_spec(
        &self,
        stream: &StreamId,
        broadcaster: &str,
        wanted: &[SpecKey<'_>],
    ) -> Result<Followed, KeyError> {
        let stored = self.table.active_of_spec(stream).await?;
        let is_wanted = |row: &&StoredKey| wanted.iter().any(|key| key.key.id() == &row.key.id);
        // Revoking waits for nothing, and one key that can't be written keeps no
        // other from it.
        let (mut done, mut followed) = (Ok(()), Followed::default());
        for row in stored.iter().filter(|row| !is_wanted(row)) {
            let revoked = self.revoke_row(stream, &row.key.id).await;
            followed.revoked.extend(revoked.is_ok().then(|| row.key.id.clone()));
            done = done.and(revoked.map_err(KeyError::from));
        }
        for key in wanted {
            let row = stored.iter().find(|row| &row.key.id == key.key.id());
            if !self.says_so(broadcaster, key, row).await {
                let written = self.write(stream, broadcaster, key).await;
                followed.stored.extend(written.is_ok().then(|| key.key.id().clone()));
                done = done.and(written);
            }
        }
        // What ingest has cached was said of the rows before.
        self.announce_all(&followed.revoked, &followed.stored).await;
        done.map(|()| followed)
    }

    async fn says_so(&self, broadcaster: &str, key: &SpecKey<'_>, row: Option<&StoredKey>) -> bool {
        let Some(row) = row else { return false };
        let same = row.key.name == key.name
            && row.key.broadcaster == broadcaster
            && row.key.expires_ms == key.expires_ms;
        if !same || self.matched.knows(key.key, &row.key.hash) {
            return same;
        }
        // A hash that can't be read is not the key's.
        let is_its = matches!(self.hasher.verify(key.key, &row.key.hash).await, Ok(true));
        if is_its {
            self.matched.note(key.key, &row.key.hash);
        }
        is_its
    }

    async fn write(
        &self,
        stream: &StreamId,
        broadcaster: &str,
        key: &SpecKey<'_>,
    ) -> Result<(), KeyError> {
        let row = NewKey {
            id: key.key.id().clone(),
            stream: stream.clone(),
            name: key.name.to_owned(),
            broadcaster: broadcaster.to_owned(),
            hash: self.hasher.hash(key.key).await?,
            source: KeySource::Spec,
            expires_ms: key.expires_ms,
        };
        self.table.upsert(&row).await?;
        self.matched.note(key.key, &row.hash);
        info!(%stream, key = %row.id, name = key.name, "publish key stored");
        Ok(())
    }
}
