//! Deletes what is recorded of one stream: its sessions, metrics and
//! broadcasts, some rows at a time, so that no statement takes long.

use millrace_media::id::{BroadcastId, StreamId};

use super::{Database, DatabaseError};
use crate::config::Installation;

/// Rows that one statement deletes.
const SOME: i64 = 5_000;

/// The record, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Record {
    database: Database,
    installation: Installation,
}

impl Record {
    /// Of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// The stream's broadcasts that are not over, by their rows; whether media
    /// came.
    pub async fn unfinished(
        &self,
        stream: &StreamId,
    ) -> Result<Vec<(BroadcastId, bool)>, DatabaseError> {
        sqlx::query!(
            r#"SELECT id, status = 'ACTIVE' AS "active!" FROM streams
               WHERE installation = $1 AND stream_id = $2
                 AND status IN ('PENDING_INGEST', 'ACTIVE') ORDER BY started_at, id"#,
            self.installation.as_str(),
            stream.as_str(),
        )
        .fetch_all(self.database.pool())
        .await
        .map(|rows| rows.into_iter().map(|row| (BroadcastId(row.id), row.active)).collect())
        .map_err(|e| self.database.error(format!("look for open broadcasts of {stream}"), e))
    }

    /// Deletes all rows of the stream. What was deleted before a failure is
    /// gone; broadcasts go last.
    pub async fn delete(&self, stream: &StreamId) -> Result<(), DatabaseError> {
        while self.delete_sessions(stream).await? > 0 {}
        while self.delete_metrics(stream).await? > 0 {}
        while self.delete_broadcasts(stream).await? > 0 {}
        Ok(())
    }

    async fn delete_sessions(&self, stream: &StreamId) -> Result<u64, DatabaseError> {
        sqlx::query!(
            "DELETE FROM viewer_sessions WHERE id = ANY(ARRAY(
                 SELECT id FROM viewer_sessions
                 WHERE installation = $1 AND stream_id = $2 LIMIT $3))",
            self.installation.as_str(),
            stream.as_str(),
            SOME,
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(|e| self.database.error(format!("delete the sessions of {stream}"), e))
    }

    async fn delete_metrics(&self, stream: &StreamId) -> Result<u64, DatabaseError> {
        sqlx::query!(
            r#"DELETE FROM stream_metrics
               WHERE installation = $1 AND stream_id = $2 AND "timestamp" = ANY(ARRAY(
                   SELECT "timestamp" FROM stream_metrics
                   WHERE installation = $1 AND stream_id = $2 LIMIT $3))"#,
            self.installation.as_str(),
            stream.as_str(),
            SOME,
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(|e| self.database.error(format!("delete the metrics of {stream}"), e))
    }

    async fn delete_broadcasts(&self, stream: &StreamId) -> Result<u64, DatabaseError> {
        sqlx::query!(
            "DELETE FROM streams WHERE id = ANY(ARRAY(
                 SELECT id FROM streams
                 WHERE installation = $1 AND stream_id = $2 LIMIT $3))",
            self.installation.as_str(),
            stream.as_str(),
            SOME / 10,
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(|e| self.database.error(format!("delete the broadcasts of {stream}"), e))
    }
}
