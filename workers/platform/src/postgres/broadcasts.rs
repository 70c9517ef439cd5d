//! `streams`: one row per broadcast, following what the log says.
//!
//! Every call may be repeated and says the whole truth it knows, so that
//! whoever folds the log again ends with the same row. The trigger in
//! migrations/ enforces PENDING_INGEST → ACTIVE → ENDED | ERROR.

use millrace_media::id::{BroadcastId, Epoch, KeyId, StreamId};
use millrace_media::record::EndReason;

use super::{Database, DatabaseError};
use crate::config::Installation;

/// Where a broadcast is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BroadcastStatus {
    /// A publisher was accepted, no media yet.
    PendingIngest,
    /// Media is in the log.
    Active,
    /// Over.
    Ended,
    /// Over, by a fault.
    Error,
}

impl BroadcastStatus {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "PENDING_INGEST" => Self::PendingIngest,
            "ACTIVE" => Self::Active,
            "ENDED" => Self::Ended,
            "ERROR" => Self::Error,
            _ => return None,
        })
    }
}

/// A publisher accepted by the log.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// Its stream.
    pub stream: StreamId,
    /// The publisher connection.
    pub epoch: Epoch,
    /// The key it came with.
    pub key_id: KeyId,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// Who, where, when; the epoch is the highest so far.
    pub opened: Opened,
    /// Where it is in its life.
    pub status: BroadcastStatus,
    /// When it ended, ms since 1970.
    pub ended_ms: Option<i64>,
    /// Why it ended.
    pub end_reason: Option<String>,
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Broadcasts {
    database: Database,
    installation: Installation,
}

struct Row {
    id: uuid::Uuid,
    stream_id: String,
    status: String,
    epoch: i64,
    key_id: String,
    started_ms: i64,
    ended_ms: Option<i64>,
    end_reason: Option<String>,
}

impl TryFrom<Row> for Broadcast {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        fn decode(e: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
            sqlx::Error::Decode(Box::new(e))
        }
        let status = BroadcastStatus::parse(&row.status)
            .ok_or_else(|| sqlx::Error::Decode(format!("status {:?}", row.status).into()))?;
        Ok(Self {
            opened: Opened {
                broadcast: BroadcastId(row.id),
                stream: row.stream_id.parse().map_err(decode)?,
                epoch: Epoch(u64::try_from(row.epoch).map_err(decode)?),
                key_id: row.key_id.parse().map_err(decode)?,
                started_ms: row.started_ms,
            },
            status,
            ended_ms: row.ended_ms,
            end_reason: row.end_reason,
        })
    }
}

/// Why a broadcast ended, as the row says it.
pub fn end_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Unpublished => "unpublished",
        EndReason::ReconnectWindow => "reconnectWindow",
        EndReason::KeyRevoked => "keyRevoked",
        EndReason::Administrator => "administrator",
    }
}

impl Broadcasts {
    /// The broadcasts of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// A publisher was accepted: makes the row, or notes the higher epoch of a
    /// publisher that came back.
    pub async fn open(&self, opened: &Opened) -> Result<(), DatabaseError> {
        let what = format!("open broadcast {}", opened.broadcast);
        sqlx::query!(
            "INSERT INTO streams (id, installation, stream_id, epoch, key_id, started_at)
             VALUES ($1, $2, $3, $4, $5, to_timestamp($6::bigint / 1000.0))
             ON CONFLICT (id) DO UPDATE SET epoch = greatest(streams.epoch, EXCLUDED.epoch)",
            opened.broadcast.0,
            self.installation.as_str(),
            opened.stream.as_str(),
            i64::try_from(opened.epoch.0).unwrap_or(i64::MAX),
            opened.key_id.as_str(),
            opened.started_ms,
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(what, e))
    }

    /// Media is in the log.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`], `InvalidTransition` after the end.
    pub async fn activate(&self, broadcast: BroadcastId) -> Result<(), DatabaseError> {
        let what = format!("activate broadcast {broadcast}");
        let done = sqlx::query!(
            "UPDATE streams SET status = 'ACTIVE' WHERE id = $1 AND installation = $2",
            broadcast.0,
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

    /// The log says it is over. A row whose activation was never written
    /// (Postgres was away) is activated on the way.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`], `InvalidTransition` after a
    /// fault. A second end changes nothing.
    pub async fn end(
        &self,
        broadcast: BroadcastId,
        reason: EndReason,
        ended_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = || format!("end broadcast {broadcast}");
        let error = |e| self.database.error(what(), e);
        let mut transaction = self.database.pool().begin().await.map_err(error)?;
        sqlx::query!(
            "UPDATE streams SET status = 'ACTIVE'
             WHERE id = $1 AND installation = $2 AND status = 'PENDING_INGEST'",
            broadcast.0,
            self.installation.as_str(),
        )
        .execute(&mut *transaction)
        .await
        .map_err(error)?;
        let done = sqlx::query!(
            "UPDATE streams SET status = 'ENDED',
                 ended_at = coalesce(ended_at, to_timestamp($3::bigint / 1000.0)),
                 end_reason = coalesce(end_reason, $4)
             WHERE id = $1 AND installation = $2",
            broadcast.0,
            self.installation.as_str(),
            ended_ms,
            end_reason(reason),
        )
        .execute(&mut *transaction)
        .await
        .map_err(error)?;
        if done.rows_affected() == 0 {
            return Err(DatabaseError::NotFound { what: what() });
        }
        transaction.commit().await.map_err(error)
    }

    /// A fault ended it; `reason` is for people and holds no secret.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`], `InvalidTransition` after an
    /// ordinary end. A second fault changes nothing.
    pub async fn fail(
        &self,
        broadcast: BroadcastId,
        reason: &str,
        failed_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = format!("fail broadcast {broadcast}");
        let done = sqlx::query!(
            "UPDATE streams SET status = 'ERROR',
                 ended_at = coalesce(ended_at, to_timestamp($3::bigint / 1000.0)),
                 end_reason = coalesce(end_reason, $4)
             WHERE id = $1 AND installation = $2",
            broadcast.0,
            self.installation.as_str(),
            failed_ms,
            reason,
        )
        .execute(self.database.pool())
        .await
        .map_err(|e| self.database.error(&what, e))?;
        if done.rows_affected() == 0 {
            return Err(DatabaseError::NotFound { what });
        }
        Ok(())
    }

    /// One broadcast.
    pub async fn find(&self, broadcast: BroadcastId) -> Result<Option<Broadcast>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, status, epoch, key_id, end_reason,
                      (extract(epoch FROM started_at) * 1000)::bigint AS "started_ms!",
                      (extract(epoch FROM ended_at) * 1000)::bigint AS "ended_ms"
               FROM streams WHERE id = $1 AND installation = $2"#,
            broadcast.0,
            self.installation.as_str(),
        )
        .fetch_optional(self.database.pool())
        .await
        .and_then(|row| row.map(Broadcast::try_from).transpose())
        .map_err(|e| self.database.error(format!("look up broadcast {broadcast}"), e))
    }

    /// The broadcasts of a stream, newest first, at most `limit`.
    pub async fn list(
        &self,
        stream: &StreamId,
        limit: u32,
    ) -> Result<Vec<Broadcast>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, status, epoch, key_id, end_reason,
                      (extract(epoch FROM started_at) * 1000)::bigint AS "started_ms!",
                      (extract(epoch FROM ended_at) * 1000)::bigint AS "ended_ms"
               FROM streams WHERE stream_id = $1 AND installation = $2
               ORDER BY started_at DESC, id DESC LIMIT $3"#,
            stream.as_str(),
            self.installation.as_str(),
            i64::from(limit),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(Broadcast::try_from).collect())
        .map_err(|e| self.database.error(format!("list the broadcasts of {stream}"), e))
    }
}
