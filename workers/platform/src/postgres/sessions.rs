//! `viewer_sessions`: one row per viewer and visit, told again as it grows.
//!
//! A report says all that is known of a session so far; of several, the one
//! that saw it last says where it is, and figures never go down. So reports
//! may be repeated, batched and sent by whoever.

mod columns;
mod read;
mod row;

use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use uuid::Uuid;

use super::{Database, DatabaseError, Transaction};
use crate::config::Installation;
use columns::Columns;
pub use read::SessionFilter;
use row::Row;

/// Whence a session is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionSource {
    /// The beacon of our player.
    Beacon,
    /// CTA-5004 keys in media requests.
    Cmcd,
    /// A hash of address and agent.
    Guess,
}

impl SessionSource {
    /// As the row says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beacon => "beacon",
            Self::Cmcd => "cmcd",
            Self::Guess => "guess",
        }
    }
}

/// One viewer's visit, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The visit.
    pub id: Uuid,
    /// The stream.
    pub stream: StreamId,
    /// The broadcast watched. Read back, none as long as its row is not written.
    pub broadcast: Option<BroadcastId>,
    /// A random id of the player, or a salted hash; 8 to 64 of A-Z, a-z, 0-9,
    /// _ and -. Never an address.
    pub viewer: String,
    /// Whence it is known.
    pub source: SessionSource,
    /// First sign of it, ms since 1970.
    pub joined_ms: i64,
    /// Last sign of it, ms since 1970.
    pub seen_ms: i64,
    /// When it left, ms since 1970; none while it watches.
    pub left_ms: Option<i64>,
    /// The rung it was last seen on.
    pub rendition: Option<RenditionName>,
    /// How often it changed rungs.
    pub rung_changes: u32,
    /// Time watched, ms.
    pub watch_ms: u64,
    /// How often playback stood still.
    pub stalls: u32,
    /// Frames its decoder dropped.
    pub dropped_frames: u64,
}

/// What became of sessions that were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// These had no row before.
    pub new: Vec<Uuid>,
    /// These name no broadcast, since its row is not written yet.
    pub unnamed: Vec<Uuid>,
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Sessions {
    database: Database,
    installation: Installation,
}

impl Sessions {
    /// The sessions of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// Writes what is known of any number of sessions in one statement.
    ///
    /// # Errors
    /// `Invalid` when one breaks a rule of migrations/; then none is written.
    pub async fn upsert(
        &self,
        transaction: &mut Transaction,
        sessions: &[Session],
    ) -> Result<Written, DatabaseError> {
        let columns: Columns = sessions.iter().collect();
        // One row per id and in one order: a statement can't meet a row twice,
        // and two that run at once can't wait for each other.
        let done = sqlx::query!(
            r#"INSERT INTO viewer_sessions AS old
                   (id, installation, stream_id, broadcast, viewer, source, joined_at,
                    last_seen_at, left_at, rendition, rung_changes, watch_ms, stalls,
                    dropped_frames)
               SELECT DISTINCT ON (s.id) s.id, $1, s.stream, streams.id, s.viewer, s.source,
                      to_timestamp(joined_ms / 1000.0), to_timestamp(seen_ms / 1000.0),
                      to_timestamp(left_ms / 1000.0), rendition, rung_changes, watch_ms, stalls,
                      dropped_frames
               FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[],
                           $7::bigint[], $8::bigint[], $9::bigint[], $10::text[],
                           $11::integer[], $12::bigint[], $13::integer[], $14::bigint[])
                   AS s (id, stream, broadcast, viewer, source, joined_ms, seen_ms, left_ms,
                         rendition, rung_changes, watch_ms, stalls, dropped_frames)
               LEFT JOIN streams ON streams.id = s.broadcast
               ORDER BY s.id, seen_ms DESC
               ON CONFLICT (id) DO UPDATE SET
                   broadcast = coalesce(old.broadcast, EXCLUDED.broadcast),
                   joined_at = least(old.joined_at, EXCLUDED.joined_at),
                   last_seen_at = greatest(old.last_seen_at, EXCLUDED.last_seen_at),
                   left_at = CASE WHEN EXCLUDED.last_seen_at > old.last_seen_at
                       THEN EXCLUDED.left_at ELSE coalesce(old.left_at, EXCLUDED.left_at) END,
                   rendition = CASE WHEN EXCLUDED.last_seen_at >= old.last_seen_at
                       THEN coalesce(EXCLUDED.rendition, old.rendition) ELSE old.rendition END,
                   rung_changes = greatest(old.rung_changes, EXCLUDED.rung_changes),
                   watch_ms = greatest(old.watch_ms, EXCLUDED.watch_ms),
                   stalls = greatest(old.stalls, EXCLUDED.stalls),
                   dropped_frames = greatest(old.dropped_frames, EXCLUDED.dropped_frames)
               WHERE old.installation = EXCLUDED.installation
                 AND old.stream_id = EXCLUDED.stream_id
               RETURNING id AS "id!", (xmax = 0) AS "new!", broadcast IS NULL AS "unnamed!""#,
            self.installation.as_str(),
            &columns.ids,
            &columns.streams,
            &columns.broadcasts as _,
            &columns.viewers,
            &columns.sources,
            &columns.joined_ms,
            &columns.seen_ms,
            &columns.left_ms as _,
            &columns.renditions as _,
            &columns.rung_changes,
            &columns.watch_ms,
            &columns.stalls,
            &columns.dropped_frames,
        )
        .fetch_all(transaction.connection())
        .await;
        let what = || format!("write {} viewers' sessions", sessions.len());
        let rows = done.map_err(|e| transaction.error(what(), e))?;
        Ok(Written {
            new: rows.iter().filter(|row| row.new).map(|row| row.id).collect(),
            unnamed: rows.iter().filter(|row| row.unnamed).map(|row| row.id).collect(),
        })
    }

    /// A viewer left; again changes nothing.
    ///
    /// # Errors
    /// `NotFound` when there is no such session.
    pub async fn leave(
        &self,
        transaction: &mut Transaction,
        id: Uuid,
        left_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = || format!("end session {id}");
        let done = sqlx::query!(
            "UPDATE viewer_sessions SET left_at =
                 coalesce(left_at, greatest(joined_at, to_timestamp($3::bigint / 1000.0)))
             WHERE id = $1 AND installation = $2",
            id,
            self.installation.as_str(),
            left_ms,
        )
        .execute(transaction.connection())
        .await
        .map_err(|e| transaction.error(what(), e))?;
        if done.rows_affected() == 0 {
            return Err(DatabaseError::NotFound { what: what() });
        }
        Ok(())
    }

    /// Gives up those who watch by their row but were last seen before
    /// `seen_before_ms`; they left when last seen. At most `limit`, the
    /// longest unseen first; says who.
    pub async fn leave_unseen(
        &self,
        transaction: &mut Transaction,
        seen_before_ms: i64,
        limit: u32,
    ) -> Result<Vec<Session>, DatabaseError> {
        let rows = sqlx::query_as!(
            Row,
            r#"UPDATE viewer_sessions SET left_at = last_seen_at
               WHERE id IN (
                   SELECT id FROM viewer_sessions
                   WHERE installation = $1 AND left_at IS NULL
                     AND last_seen_at < to_timestamp($2::bigint / 1000.0)
                   ORDER BY last_seen_at LIMIT $3 FOR UPDATE SKIP LOCKED)
               RETURNING id, stream_id, broadcast, viewer, source,
                   (extract(epoch FROM joined_at) * 1000)::bigint AS "joined_ms!",
                   (extract(epoch FROM last_seen_at) * 1000)::bigint AS "seen_ms!",
                   (extract(epoch FROM left_at) * 1000)::bigint AS "left_ms",
                   rendition, rung_changes, watch_ms, stalls, dropped_frames"#,
            self.installation.as_str(),
            seen_before_ms,
            i64::from(limit),
        )
        .fetch_all(transaction.connection())
        .await;
        rows.and_then(|rows| rows.into_iter().map(Session::try_from).collect())
            .map_err(|e| transaction.error("give up viewers who are gone", e))
    }

    /// Deletes sessions that ended before `before_ms`, at most `limit`; says
    /// how many.
    pub async fn prune(&self, before_ms: i64, limit: u32) -> Result<u64, DatabaseError> {
        sqlx::query!(
            "DELETE FROM viewer_sessions WHERE id IN (
                 SELECT id FROM viewer_sessions
                 WHERE installation = $1 AND joined_at < to_timestamp($2::bigint / 1000.0)
                   AND left_at < to_timestamp($2::bigint / 1000.0)
                 LIMIT $3)",
            self.installation.as_str(),
            before_ms,
            i64::from(limit),
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(|e| self.database.error("delete old viewers' sessions", e))
    }
}
