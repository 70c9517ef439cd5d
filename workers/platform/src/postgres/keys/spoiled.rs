//! Which of a stream's keys a verdict in Redis may be wrong about.

use std::time::Duration;

use millrace_media::id::{KeyId, StreamId};

use super::Keys;
use crate::postgres::DatabaseError;

/// Most keys told of at once.
const MAX_PAGE: i64 = 500;

/// Keys whose verdicts may be older than their rows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Spoiled {
    /// Revoked.
    pub revoked: Vec<KeyId>,
    /// With an expiry, which may have been given or moved.
    pub expiring: Vec<KeyId>,
    /// There may be more after this one.
    pub next: Option<KeyId>,
}

impl Keys {
    /// The keys of a stream that were revoked within `life`, or expire or
    /// expired within it: some, by id, those after `after`. A verdict made
    /// before is gone by itself after its life.
    pub async fn spoiled(
        &self,
        stream: &StreamId,
        life: Duration,
        after: Option<&KeyId>,
    ) -> Result<Spoiled, DatabaseError> {
        let rows = sqlx::query!(
            r#"SELECT id, is_active FROM stream_keys
               WHERE installation = $1 AND stream_id = $2 AND id > coalesce($3, '')
                 AND (revoked_at > now() - $4 * interval '1 second'
                      OR (is_active AND expires_at > now() - $4 * interval '1 second'))
               ORDER BY id LIMIT $5"#,
            self.installation.as_str(),
            stream.as_str(),
            after.map(KeyId::as_str),
            life.as_secs_f64(),
            MAX_PAGE,
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(|e| self.database.error(format!("look for spoiled keys of {stream}"), e))?;
        let full = rows.len() >= usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
        let mut spoiled = Spoiled::default();
        for row in rows {
            let id: KeyId = row.id.parse().map_err(|e| {
                let source = sqlx::Error::Decode(Box::new(e));
                self.database.error(format!("read a key of {stream}"), source)
            })?;
            spoiled.next = full.then(|| id.clone());
            if row.is_active { spoiled.expiring.push(id) } else { spoiled.revoked.push(id) }
        }
        Ok(spoiled)
    }
}
