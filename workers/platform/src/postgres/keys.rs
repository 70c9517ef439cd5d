//! `stream_keys`: the publish keys as Postgres knows them, secrets hashed.
//!
//! One statement each; what belongs to a key's life is in
//! [`KeyRing`](crate::keys::KeyRing).

mod api;
mod page;
mod spoiled;

pub use page::KeyFilter;
pub use spoiled::Spoiled;

use millrace_media::id::{KeyId, StreamId};

use super::{Database, DatabaseError};
use crate::config::Installation;
use crate::keys::KeyHash;

/// Where a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// The LiveStream's spec; its Secret is the truth, the row follows.
    Spec,
    /// The API; the operator never touches it.
    Api,
}

impl KeySource {
    /// As the row says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Api => "api",
        }
    }
}

/// A key to store.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The public half.
    pub id: KeyId,
    /// The stream it may publish to.
    pub stream: StreamId,
    /// Its name in the spec's list.
    pub name: String,
    /// Who holds it.
    pub broadcaster: String,
    /// bcrypt of the secret half.
    pub hash: KeyHash,
    /// Where it comes from.
    pub source: KeySource,
    /// Not accepted from then on, ms since 1970.
    pub expires_ms: Option<i64>,
}

/// A key as stored.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// As it was given.
    pub key: NewKey,
    /// Not revoked. It may still have expired: see [`StoredKey::is_valid_at`].
    pub active: bool,
    /// When it was written, µs since 1970.
    pub created_us: i64,
    /// When it was revoked, ms since 1970.
    pub revoked_ms: Option<i64>,
    /// When it was last accepted, ms since 1970.
    pub last_used_ms: Option<i64>,
}

impl StoredKey {
    /// Neither revoked nor expired at this time (ms since 1970).
    pub fn is_valid_at(&self, now_ms: i64) -> bool {
        self.active && self.key.expires_ms.is_none_or(|expires| now_ms < expires)
    }
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Keys {
    database: Database,
    installation: Installation,
}

struct Row {
    id: String,
    stream_id: String,
    name: String,
    broadcaster_id: String,
    hash: String,
    source: String,
    is_active: bool,
    created_us: i64,
    expires_ms: Option<i64>,
    revoked_ms: Option<i64>,
    last_used_ms: Option<i64>,
}

impl TryFrom<Row> for StoredKey {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        fn decode(e: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
            sqlx::Error::Decode(Box::new(e))
        }
        Ok(Self {
            key: NewKey {
                id: row.id.parse().map_err(decode)?,
                stream: row.stream_id.parse().map_err(decode)?,
                name: row.name,
                broadcaster: row.broadcaster_id,
                hash: KeyHash::from_stored(row.hash),
                source: if row.source == "spec" { KeySource::Spec } else { KeySource::Api },
                expires_ms: row.expires_ms,
            },
            active: row.is_active,
            created_us: row.created_us,
            revoked_ms: row.revoked_ms,
            last_used_ms: row.last_used_ms,
        })
    }
}

impl Keys {
    /// The keys of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// Writes a key, or brings its name, holder, hash and expiry up to date.
    ///
    /// # Errors
    /// `Conflict` when the id is taken by another stream or source, or revoked:
    /// a revoked key never comes back.
    pub async fn upsert(&self, key: &NewKey) -> Result<(), DatabaseError> {
        let what = || format!("write key {} of {}", key.id, key.stream);
        let done = sqlx::query!(
            "INSERT INTO stream_keys
                 (id, installation, stream_id, name, broadcaster_id, hash, source, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8::bigint / 1000.0))
             ON CONFLICT (id) DO UPDATE SET
                 name = EXCLUDED.name, broadcaster_id = EXCLUDED.broadcaster_id,
                 hash = EXCLUDED.hash, expires_at = EXCLUDED.expires_at
             WHERE stream_keys.is_active
               AND stream_keys.installation = EXCLUDED.installation
               AND stream_keys.stream_id = EXCLUDED.stream_id
               AND stream_keys.source = EXCLUDED.source",
            key.id.as_str(),
            self.installation.as_str(),
            key.stream.as_str(),
            key.name,
            key.broadcaster,
            key.hash.as_str(),
            key.source.as_str(),
            key.expires_ms,
        )
        .execute(self.database.pool())
        .await
        .map_err(|e| self.database.error(what(), e))?;
        if done.rows_affected() == 0 {
            let detail = "the id is revoked, or another stream's or source's".to_owned();
            return Err(DatabaseError::Conflict { what: what(), detail });
        }
        Ok(())
    }

    /// The key of this id, revoked and expired ones too.
    pub async fn find(&self, id: &KeyId) -> Result<Option<StoredKey>, DatabaseError> {
        let what = || format!("look up key {id}");
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, name, broadcaster_id, hash, source, is_active,
                      (extract(epoch FROM created_at) * 1000000)::bigint AS "created_us!",
                      (extract(epoch FROM expires_at) * 1000)::bigint AS "expires_ms",
                      (extract(epoch FROM revoked_at) * 1000)::bigint AS "revoked_ms",
                      (extract(epoch FROM last_used_at) * 1000)::bigint AS "last_used_ms"
               FROM stream_keys WHERE id = $1 AND installation = $2"#,
            id.as_str(),
            self.installation.as_str(),
        )
        .fetch_optional(self.database.pool())
        .await
        .and_then(|row| row.map(StoredKey::try_from).transpose())
        .map_err(|e| self.database.error(what(), e))
    }

    /// The spec's keys of a stream that are not revoked, oldest first.
    pub async fn active_of_spec(&self, stream: &StreamId) -> Result<Vec<StoredKey>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, name, broadcaster_id, hash, source, is_active,
                      (extract(epoch FROM created_at) * 1000000)::bigint AS "created_us!",
                      (extract(epoch FROM expires_at) * 1000)::bigint AS "expires_ms",
                      (extract(epoch FROM revoked_at) * 1000)::bigint AS "revoked_ms",
                      (extract(epoch FROM last_used_at) * 1000)::bigint AS "last_used_ms"
               FROM stream_keys
               WHERE stream_id = $1 AND installation = $2 AND source = 'spec' AND is_active
               ORDER BY created_at, id"#,
            stream.as_str(),
            self.installation.as_str(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(StoredKey::try_from).collect())
        .map_err(|e| self.database.error(format!("list the spec's keys of {stream}"), e))
    }

    /// The keys of a stream that are not revoked, whatever their source.
    pub async fn active(&self, stream: &StreamId) -> Result<Vec<KeyId>, DatabaseError> {
        sqlx::query_scalar!(
            "SELECT id FROM stream_keys
             WHERE stream_id = $1 AND installation = $2 AND is_active ORDER BY created_at, id",
            stream.as_str(),
            self.installation.as_str(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|ids| ids.iter().map(|id| id.parse().map_err(super::decode)).collect())
        .map_err(|e| self.database.error(format!("list the keys of {stream}"), e))
    }

    /// Revokes a key for good, whatever its source; again is harmless. Nobody
    /// is told: [`KeyRing`](crate::keys::KeyRing) does that.
    ///
    /// # Errors
    /// `NotFound` when there is no such key.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), DatabaseError> {
        let what = format!("revoke key {id}");
        let done = sqlx::query!(
            "UPDATE stream_keys SET is_active = false, revoked_at = coalesce(revoked_at, now())
             WHERE id = $1 AND installation = $2",
            id.as_str(),
            self.installation.as_str(),
        )
        .execute(self.database.pool())
        .await
        .map_err(|e| self.database.error(&what, e))?;
        if done.rows_affected() == 0 {
            return Err(DatabaseError::NotFound { what });
        }
        Ok(())
    }

    /// Notes that a key was accepted.
    pub async fn touch(&self, id: &KeyId) -> Result<(), DatabaseError> {
        sqlx::query!(
            "UPDATE stream_keys SET last_used_at = now() WHERE id = $1 AND installation = $2",
            id.as_str(),
            self.installation.as_str(),
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(format!("note the use of key {id}"), e))
    }
}
