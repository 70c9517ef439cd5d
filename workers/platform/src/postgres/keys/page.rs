//! Lists keys a page at a time, newest first, by keyset: what is made meanwhile
//! moves no later page.

use millrace_media::id::{KeyId, StreamId};

use super::{KeySource, Keys, Row, StoredKey};
use crate::postgres::DatabaseError;
use crate::postgres::page::{Cursor, Page, PageRequest};

/// Which keys to list; each that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Of this stream.
    pub stream: Option<StreamId>,
    /// Held by this broadcaster.
    pub broadcaster: Option<String>,
    /// From there.
    pub source: Option<KeySource>,
    /// Neither revoked nor expired, or one of both.
    pub good: Option<bool>,
}

impl Keys {
    /// A page of keys, revoked and expired ones too unless the filter says
    /// otherwise.
    pub async fn list(
        &self,
        filter: &KeyFilter,
        page: &PageRequest<KeyId>,
    ) -> Result<Page<StoredKey, KeyId>, DatabaseError> {
        let after = page.after.as_ref();
        let rows: Vec<StoredKey> = sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, name, broadcaster_id, hash, source, is_active,
                      (extract(epoch FROM created_at) * 1000000)::bigint AS "created_us!",
                      (extract(epoch FROM expires_at) * 1000)::bigint AS "expires_ms",
                      (extract(epoch FROM revoked_at) * 1000)::bigint AS "revoked_ms",
                      (extract(epoch FROM last_used_at) * 1000)::bigint AS "last_used_ms"
               FROM stream_keys
               WHERE installation = $1
                 AND ($2::text IS NULL OR stream_id = $2)
                 AND ($3::text IS NULL OR broadcaster_id = $3)
                 AND ($4::text IS NULL OR source = $4)
                 AND ($5::boolean IS NULL
                      OR (is_active AND coalesce(expires_at > now(), true)) = $5)
                 AND ($6::bigint IS NULL
                      OR (created_at, id)
                         < ('epoch'::timestamptz + $6 * interval '1 microsecond', $7))
               ORDER BY created_at DESC, id DESC LIMIT $8"#,
            self.installation.as_str(),
            filter.stream.as_ref().map(StreamId::as_str),
            filter.broadcaster.as_deref(),
            filter.source.map(KeySource::as_str),
            filter.good,
            after.map(|cursor| cursor.at_us),
            after.map(|cursor| cursor.id.as_str()),
            page.fetch(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(StoredKey::try_from).collect())
        .map_err(|e| self.database.error("list keys", e))?;
        let cursor = |key: &StoredKey| Cursor { at_us: key.created_us, id: key.key.id.clone() };
        Ok(Page::new(rows, page, cursor))
    }
}
