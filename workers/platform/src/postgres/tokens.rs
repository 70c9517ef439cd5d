//! `api_tokens`: the tokens of the administrators' API, hashed.

use uuid::Uuid;

use super::page::{Cursor, Page, PageRequest};
use super::{Database, DatabaseError, decode};
use crate::config::Installation;
use crate::keys::KeyName;
use crate::tokens::{Scopes, StreamPatterns, TokenHash};

/// Most good tokens an installation has: all of them are kept in memory by
/// whoever checks them.
pub const MAX_TOKENS: u32 = 1_000;

/// A token to store.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What people call it: rules as for keys.
    pub name: KeyName,
    /// What it may do.
    pub scopes: Scopes,
    /// On which streams.
    pub streams: StreamPatterns,
    /// Who makes it.
    pub created_by: String,
    /// Not accepted from then on, ms since 1970.
    pub expires_ms: Option<i64>,
}

/// A token as stored.
#[derive(Debug, Clone)]
pub struct StoredToken {
    /// Its id, for people.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// What is kept of it.
    pub hash: TokenHash,
    /// What it may do, as far as this version knows.
    pub scopes: Scopes,
    /// On which streams, as far as this version knows.
    pub streams: StreamPatterns,
    /// Who made it.
    pub created_by: String,
    /// When it was made, µs since 1970.
    pub created_us: i64,
    /// Not accepted from then on, ms since 1970.
    pub expires_ms: Option<i64>,
    /// When it was revoked, ms since 1970.
    pub revoked_ms: Option<i64>,
}

impl StoredToken {
    /// Neither revoked nor expired at this time (ms since 1970).
    pub fn is_good_at(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires| now_ms < expires)
    }
}

struct Row {
    id: Uuid,
    name: String,
    hash: Vec<u8>,
    scopes: Vec<String>,
    streams: Vec<String>,
    created_by: String,
    created_us: i64,
    expires_ms: Option<i64>,
    revoked_ms: Option<i64>,
}

impl TryFrom<Row> for StoredToken {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            name: row.name,
            hash: TokenHash(row.hash.as_slice().try_into().map_err(decode)?),
            scopes: row.scopes.iter().filter_map(|text| text.parse().ok()).collect(),
            streams: row.streams.iter().filter_map(|text| text.parse().ok()).collect(),
            created_by: row.created_by,
            created_us: row.created_us,
            expires_ms: row.expires_ms,
            revoked_ms: row.revoked_ms,
        })
    }
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Tokens {
    database: Database,
    installation: Installation,
}

impl Tokens {
    /// The tokens of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// Writes a token, unless there are [`MAX_TOKENS`] good ones; its id, if it
    /// was written. One that is there already stays as it is.
    pub async fn insert(
        &self,
        token: &NewToken,
        hash: TokenHash,
    ) -> Result<Option<Uuid>, DatabaseError> {
        let scopes: Vec<String> = token.scopes.iter().map(ToString::to_string).collect();
        sqlx::query_scalar!(
            "INSERT INTO api_tokens
                 (id, installation, name, hash, scopes, streams, created_by, expires_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, to_timestamp($8::bigint / 1000.0)
             WHERE $9 > (
                 SELECT count(*) FROM api_tokens
                 WHERE installation = $2 AND revoked_at IS NULL
                   AND (expires_at IS NULL OR expires_at > now()))
             ON CONFLICT (hash) DO NOTHING RETURNING id",
            Uuid::now_v7(),
            self.installation.as_str(),
            token.name.as_str(),
            &hash.0[..],
            &scopes,
            &token.streams.to_texts(),
            token.created_by,
            token.expires_ms,
            i64::from(MAX_TOKENS),
        )
        .fetch_optional(self.database.pool())
        .await
        .map_err(|e| self.database.error(format!("write token {}", token.name), e))
    }

    /// All good tokens.
    pub async fn good(&self) -> Result<Vec<StoredToken>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, name, hash, scopes, streams, created_by,
                      (extract(epoch FROM created_at) * 1000000)::bigint AS "created_us!",
                      (extract(epoch FROM expires_at) * 1000)::bigint AS "expires_ms",
                      (extract(epoch FROM revoked_at) * 1000)::bigint AS "revoked_ms"
               FROM api_tokens
               WHERE installation = $1 AND revoked_at IS NULL
                 AND (expires_at IS NULL OR expires_at > now())
               ORDER BY created_at LIMIT $2"#,
            self.installation.as_str(),
            // Two calls at once may pass the limit by one.
            i64::from(MAX_TOKENS) * 2,
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(StoredToken::try_from).collect())
        .map_err(|e| self.database.error("read the API's tokens", e))
    }

    /// A page of tokens, revoked and expired ones too, the newest first.
    pub async fn list(&self, page: PageRequest) -> Result<Page<StoredToken>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, name, hash, scopes, streams, created_by,
                      (extract(epoch FROM created_at) * 1000000)::bigint AS "created_us!",
                      (extract(epoch FROM expires_at) * 1000)::bigint AS "expires_ms",
                      (extract(epoch FROM revoked_at) * 1000)::bigint AS "revoked_ms"
               FROM api_tokens
               WHERE installation = $1
                 AND ($2::bigint IS NULL OR (created_at, id)
                      < ('epoch'::timestamptz + $2 * interval '1 microsecond', $3::uuid))
               ORDER BY created_at DESC, id DESC LIMIT $4"#,
            self.installation.as_str(),
            page.after.map(|c| c.at_us),
            page.after.map(|c| c.id),
            page.fetch(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(StoredToken::try_from).collect::<Result<_, _>>())
        .map(|rows| {
            Page::new(rows, &page, |t: &StoredToken| Cursor { at_us: t.created_us, id: t.id })
        })
        .map_err(|e| self.database.error("list the API's tokens", e))
    }

    /// Revokes a token for good; again is harmless.
    ///
    /// # Errors
    /// `NotFound` when there is no such token.
    pub async fn revoke(&self, id: Uuid) -> Result<(), DatabaseError> {
        let what = format!("revoke token {id}");
        let done = sqlx::query!(
            "UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now())
             WHERE id = $1 AND installation = $2",
            id,
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
}
