//! Lists keys a page at a time, newest first, by keyset: what is made meanwhile
//! moves no later page.

use std::fmt;
use std::str::FromStr;

use millrace_media::id::{KeyId, StreamId};

use super::{KeySource, Keys, Row, StoredKey};
use crate::postgres::DatabaseError;

/// Most rows a page has.
const MAX_PAGE: u32 = 500;

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

/// Where a page ended. Its text is opaque to whoever carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCursor {
    created_us: i64,
    id: KeyId,
}

/// A text that is no cursor of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a cursor: take the one that came with the page before")]
pub struct InvalidKeyCursor;

impl fmt::Display for KeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.created_us, self.id)
    }
}

impl FromStr for KeyCursor {
    type Err = InvalidKeyCursor;

    fn from_str(text: &str) -> Result<Self, InvalidKeyCursor> {
        let (created, id) = text.split_once('-').ok_or(InvalidKeyCursor)?;
        let created_us = created.parse().map_err(|_| InvalidKeyCursor)?;
        // Of what Postgres can take as a time.
        if !(0..=253_402_300_799_999_999).contains(&created_us) {
            return Err(InvalidKeyCursor);
        }
        Ok(Self { created_us, id: id.parse().map_err(|_| InvalidKeyCursor)? })
    }
}

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPageRequest {
    /// Most rows wanted; 1 to 500 are given.
    pub limit: u32,
    /// Where the page before ended; none for the first.
    pub after: Option<KeyCursor>,
}

impl Default for KeyPageRequest {
    fn default() -> Self {
        Self { limit: 50, after: None }
    }
}

/// One page.
#[derive(Debug, Clone)]
pub struct KeyPage {
    /// The keys, newest first.
    pub items: Vec<StoredKey>,
    /// Where the next page begins; none after the last.
    pub next: Option<KeyCursor>,
}

impl Keys {
    /// A page of keys, revoked and expired ones too unless the filter says
    /// otherwise.
    pub async fn list(
        &self,
        filter: &KeyFilter,
        page: &KeyPageRequest,
    ) -> Result<KeyPage, DatabaseError> {
        let limit = page.limit.clamp(1, MAX_PAGE);
        let after = page.after.as_ref();
        let mut items: Vec<StoredKey> = sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, name, broadcaster_id, hash, source, is_active,
                      (extract(epoch FROM created_at) * 1000000)::bigint AS "created_us!",
                      (extract(epoch FROM expires_at) * 1000)::bigint AS "expires_ms",
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
            after.map(|cursor| cursor.created_us),
            after.map(|cursor| cursor.id.as_str()),
            // One more than the page, to know whether there is another.
            i64::from(limit) + 1,
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(StoredKey::try_from).collect())
        .map_err(|e| self.database.error("list keys", e))?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > most;
        items.truncate(most);
        let cursor =
            |key: &StoredKey| KeyCursor { created_us: key.created_us, id: key.key.id.clone() };
        let next = if more { items.last().map(cursor) } else { None };
        Ok(KeyPage { items, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_nothing_else_is_one() {
        let cursor =
            KeyCursor { created_us: 1_764_000_000_123_456, id: "abcd1234".parse().unwrap() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "7", "-abcd", "x-abcd", "7-a b", "-1-abcd", "999999999999999999-abcd"] {
            assert_eq!(bad.parse::<KeyCursor>(), Err(InvalidKeyCursor), "{bad}");
        }
    }
}
