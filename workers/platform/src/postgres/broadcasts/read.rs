//! Broadcasts, looked up and listed.

use millrace_media::id::{BroadcastId, StreamId};

use super::super::DatabaseError;
use super::super::page::{Cursor, Page, PageRequest};
use super::row::Row;
use super::{Broadcast, BroadcastStatus, Broadcasts};

/// Which broadcasts to list; each that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct BroadcastFilter {
    /// Of this stream.
    pub stream: Option<StreamId>,
    /// In this state.
    pub status: Option<BroadcastStatus>,
    /// Begun then or later, ms since 1970.
    pub from_ms: Option<i64>,
    /// Begun before, ms since 1970.
    pub to_ms: Option<i64>,
}

impl Broadcasts {
    /// One broadcast.
    pub async fn find(&self, broadcast: BroadcastId) -> Result<Option<Broadcast>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, status, epoch, active_epoch, interrupted_epoch, key_id,
                      end_reason, (extract(epoch FROM started_at) * 1000)::bigint AS "started_ms!",
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

    /// A page of broadcasts, the latest to begin first.
    pub async fn list(
        &self,
        filter: &BroadcastFilter,
        page: PageRequest,
    ) -> Result<Page<Broadcast>, DatabaseError> {
        let cursor = |broadcast: &Broadcast| {
            Cursor::at_ms(broadcast.opened.started_ms, broadcast.opened.broadcast.0)
        };
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, status, epoch, active_epoch, interrupted_epoch, key_id,
                      end_reason, (extract(epoch FROM started_at) * 1000)::bigint AS "started_ms!",
                      (extract(epoch FROM ended_at) * 1000)::bigint AS "ended_ms"
               FROM streams
               WHERE installation = $1
                 AND ($2::text IS NULL OR stream_id = $2)
                 AND ($3::text IS NULL OR status = $3)
                 AND ($4::bigint IS NULL OR started_at >= to_timestamp($4::bigint / 1000.0))
                 AND ($5::bigint IS NULL OR started_at < to_timestamp($5::bigint / 1000.0))
                 AND ($6::bigint IS NULL
                      OR (started_at, id) < ('epoch'::timestamptz + $6 * interval '1 microsecond', $7::uuid))
               ORDER BY started_at DESC, id DESC LIMIT $8"#,
            self.installation.as_str(),
            filter.stream.as_ref().map(StreamId::as_str),
            filter.status.map(BroadcastStatus::as_str),
            filter.from_ms,
            filter.to_ms,
            page.after.map(|c| c.at_us),
            page.after.map(|c| c.id),
            page.fetch(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(Broadcast::try_from).collect::<Result<_, _>>())
        .map(|rows| Page::new(rows, &page, cursor))
        .map_err(|e| self.database.error("list broadcasts", e))
    }
}
