//! Sessions, looked up and listed.

use millrace_media::id::{BroadcastId, StreamId};
use uuid::Uuid;

use super::super::DatabaseError;
use super::super::page::{Cursor, Page, PageRequest};
use super::row::Row;
use super::{Session, Sessions};

/// Which sessions to list; each that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this stream.
    pub stream: Option<StreamId>,
    /// Of this broadcast.
    pub broadcast: Option<BroadcastId>,
    /// Still watching, or not any more.
    pub watching: Option<bool>,
    /// Joined then or later, ms since 1970.
    pub from_ms: Option<i64>,
    /// Joined before, ms since 1970.
    pub to_ms: Option<i64>,
}

impl Sessions {
    /// One session.
    pub async fn find(&self, id: Uuid) -> Result<Option<Session>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, broadcast, viewer, source,
                      (extract(epoch FROM joined_at) * 1000)::bigint AS "joined_ms!",
                      (extract(epoch FROM last_seen_at) * 1000)::bigint AS "seen_ms!",
                      (extract(epoch FROM left_at) * 1000)::bigint AS "left_ms",
                      rendition, rung_changes, watch_ms, stalls, dropped_frames
               FROM viewer_sessions WHERE id = $1 AND installation = $2"#,
            id,
            self.installation.as_str(),
        )
        .fetch_optional(self.database.pool())
        .await
        .and_then(|row| row.map(Session::try_from).transpose())
        .map_err(|e| self.database.error(format!("look up session {id}"), e))
    }

    /// A page of sessions, the latest to join first.
    pub async fn list(
        &self,
        filter: &SessionFilter,
        page: PageRequest,
    ) -> Result<Page<Session>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, broadcast, viewer, source,
                      (extract(epoch FROM joined_at) * 1000)::bigint AS "joined_ms!",
                      (extract(epoch FROM last_seen_at) * 1000)::bigint AS "seen_ms!",
                      (extract(epoch FROM left_at) * 1000)::bigint AS "left_ms",
                      rendition, rung_changes, watch_ms, stalls, dropped_frames
               FROM viewer_sessions
               WHERE installation = $1
                 AND ($2::text IS NULL OR stream_id = $2)
                 AND ($3::uuid IS NULL OR broadcast = $3)
                 AND ($4::boolean IS NULL OR (left_at IS NULL) = $4)
                 AND ($5::bigint IS NULL OR joined_at >= to_timestamp($5::bigint / 1000.0))
                 AND ($6::bigint IS NULL OR joined_at < to_timestamp($6::bigint / 1000.0))
                 AND ($7::bigint IS NULL
                      OR (joined_at, id) < ('epoch'::timestamptz + $7 * interval '1 microsecond', $8::uuid))
               ORDER BY joined_at DESC, id DESC LIMIT $9"#,
            self.installation.as_str(),
            filter.stream.as_ref().map(StreamId::as_str),
            filter.broadcast.map(|b| b.0),
            filter.watching,
            filter.from_ms,
            filter.to_ms,
            page.after.map(|c| c.at_us),
            page.after.map(|c| c.id),
            page.fetch(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(Session::try_from).collect::<Result<_, _>>())
        .map(|rows| Page::new(rows, &page, |s: &Session| Cursor::at_ms(s.joined_ms, s.id)))
        .map_err(|e| self.database.error("list viewers' sessions", e))
    }
}
