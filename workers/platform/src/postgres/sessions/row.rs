//! A row of `viewer_sessions` as the query gives it.

use millrace_media::id::BroadcastId;
use uuid::Uuid;

use super::super::decode;
use super::{Session, SessionSource};

pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) stream_id: String,
    pub(super) broadcast: Option<Uuid>,
    pub(super) viewer: String,
    pub(super) source: String,
    pub(super) joined_ms: i64,
    pub(super) seen_ms: i64,
    pub(super) left_ms: Option<i64>,
    pub(super) rendition: Option<String>,
    pub(super) rung_changes: i32,
    pub(super) watch_ms: i64,
    pub(super) stalls: i32,
    pub(super) dropped_frames: i64,
}

impl TryFrom<Row> for Session {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let source = match row.source.as_str() {
            "beacon" => SessionSource::Beacon,
            "cmcd" => SessionSource::Cmcd,
            "guess" => SessionSource::Guess,
            other => return Err(sqlx::Error::Decode(format!("source {other:?}").into())),
        };
        Ok(Self {
            id: row.id,
            stream: row.stream_id.parse().map_err(decode)?,
            broadcast: row.broadcast.map(BroadcastId),
            viewer: row.viewer,
            source,
            joined_ms: row.joined_ms,
            seen_ms: row.seen_ms,
            left_ms: row.left_ms,
            rendition: row.rendition.map(|name| name.parse()).transpose().map_err(decode)?,
            rung_changes: u32::try_from(row.rung_changes).map_err(decode)?,
            watch_ms: u64::try_from(row.watch_ms).map_err(decode)?,
            stalls: u32::try_from(row.stalls).map_err(decode)?,
            dropped_frames: u64::try_from(row.dropped_frames).map_err(decode)?,
        })
    }
}
