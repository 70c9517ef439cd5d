//! What the API does to its own keys, each in one statement.

use std::time::Duration;

use millrace_media::id::{KeyId, StreamId};

use super::{Keys, NewKey};
use crate::keys::KeyHash;
use crate::postgres::DatabaseError;

impl Keys {
    /// Writes a key of the API unless the stream has `most` good ones; whether
    /// it was written. Two calls at once may pass the limit by one.
    pub async fn insert_api(&self, key: &NewKey, most: u32) -> Result<bool, DatabaseError> {
        sqlx::query!(
            "INSERT INTO stream_keys
                 (id, installation, stream_id, name, broadcaster_id, hash, source, expires_at)
             SELECT $1, $2, $3, $4, $5, $6, 'api', to_timestamp($7::bigint / 1000.0)
             WHERE $8 > (
                 SELECT count(*) FROM stream_keys
                 WHERE installation = $2 AND stream_id = $3 AND source = 'api' AND is_active
                   AND (expires_at IS NULL OR expires_at > now()))",
            key.id.as_str(),
            self.installation.as_str(),
            key.stream.as_str(),
            key.name,
            key.broadcaster,
            key.hash.as_str(),
            key.expires_ms,
            i64::from(most),
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(|e| self.database.error(format!("write a key of {}", key.stream), e))
    }

    /// Ends an API's key after `overlap` and writes another with its name and
    /// holder: id, hash and expiry (ms since 1970). False, and nothing is
    /// written, when the stream has no such key of the API that is good.
    pub async fn rotate_api(
        &self,
        (stream, old): (&StreamId, &KeyId),
        overlap: Duration,
        (id, hash, expires_ms): (&KeyId, &KeyHash, Option<i64>),
    ) -> Result<bool, DatabaseError> {
        sqlx::query!(
            "WITH old AS (
                 UPDATE stream_keys
                 SET expires_at = least(coalesce(expires_at, 'infinity'),
                                        now() + $4 * interval '1 millisecond')
                 WHERE id = $1 AND installation = $2 AND stream_id = $3 AND source = 'api'
                   AND is_active AND (expires_at IS NULL OR expires_at > now())
                 RETURNING name, broadcaster_id)
             INSERT INTO stream_keys
                 (id, installation, stream_id, name, broadcaster_id, hash, source, expires_at)
             SELECT $5, $2, $3, name, broadcaster_id, $6, 'api',
                    to_timestamp($7::bigint / 1000.0)
             FROM old",
            old.as_str(),
            self.installation.as_str(),
            stream.as_str(),
            // Whole milliseconds below 2^53: exact.
            f64::from(u32::try_from(overlap.as_millis()).unwrap_or(u32::MAX)),
            id.as_str(),
            hash.as_str(),
            expires_ms,
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(|e| self.database.error(format!("rotate key {old} of {stream}"), e))
    }
}
