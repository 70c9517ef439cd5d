//! `stream_metrics`: one row per live stream and second.
//!
//! Whoever writes a second first wins, and whoever writes it again changes
//! nothing. The partitions are [`super::partitions`]' matter.

mod buckets;

use std::collections::BTreeMap;

use millrace_media::id::{BroadcastId, RenditionName, StreamId};

use super::{Database, DatabaseError, decode};
use crate::config::Installation;

pub use buckets::{Bucket, Span};

/// Most seconds one query gives: a day.
pub const MAX_SECONDS: u32 = 86_400;

/// What one stream was like in one second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Second {
    /// The stream.
    pub stream: StreamId,
    /// The broadcast that was live, where it is known.
    pub broadcast: Option<BroadcastId>,
    /// Which second: s since 1970.
    pub at_s: i64,
    /// Who watched.
    pub viewers: u32,
    /// From the publisher, kbit/s.
    pub ingress_kbps: u64,
    /// To all viewers, kbit/s.
    pub egress_kbps: u64,
    /// Viewers by rendition.
    pub quality: BTreeMap<RenditionName, u32>,
    /// Frames viewers' decoders dropped in this second.
    pub dropped_frames: u64,
    /// Stalls of viewers in this second.
    pub buffering_events: u64,
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct StreamMetrics {
    database: Database,
    installation: Installation,
}

struct Row {
    stream_id: String,
    broadcast: Option<uuid::Uuid>,
    at_s: i64,
    viewers: i32,
    ingress_kbps: i64,
    egress_kbps: i64,
    quality: String,
    dropped_frames: i64,
    buffering_events: i64,
}

impl TryFrom<Row> for Second {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            stream: row.stream_id.parse().map_err(decode)?,
            broadcast: row.broadcast.map(BroadcastId),
            at_s: row.at_s,
            viewers: u32::try_from(row.viewers).map_err(decode)?,
            ingress_kbps: u64::try_from(row.ingress_kbps).map_err(decode)?,
            egress_kbps: u64::try_from(row.egress_kbps).map_err(decode)?,
            quality: serde_json::from_str(&row.quality).map_err(decode)?,
            dropped_frames: u64::try_from(row.dropped_frames).map_err(decode)?,
            buffering_events: u64::try_from(row.buffering_events).map_err(decode)?,
        })
    }
}

/// The rows as columns.
#[derive(Default)]
struct Columns {
    streams: Vec<String>,
    broadcasts: Vec<Option<uuid::Uuid>>,
    at_s: Vec<i64>,
    viewers: Vec<i32>,
    ingress_kbps: Vec<i64>,
    egress_kbps: Vec<i64>,
    quality: Vec<String>,
    dropped_frames: Vec<i64>,
    buffering_events: Vec<i64>,
}

impl Columns {
    fn push(&mut self, second: &Second) {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let quality: BTreeMap<&str, u32> =
            second.quality.iter().map(|(name, viewers)| (name.as_str(), *viewers)).collect();
        self.streams.push(second.stream.as_str().to_owned());
        self.broadcasts.push(second.broadcast.map(|b| b.0));
        self.at_s.push(second.at_s);
        self.viewers.push(i32::try_from(second.viewers).unwrap_or(i32::MAX));
        self.ingress_kbps.push(count(second.ingress_kbps));
        self.egress_kbps.push(count(second.egress_kbps));
        self.quality.push(serde_json::json!(quality).to_string());
        self.dropped_frames.push(count(second.dropped_frames));
        self.buffering_events.push(count(second.buffering_events));
    }
}

impl StreamMetrics {
    /// The metrics of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// Writes seconds of any number of streams in one statement; says how many
    /// were new. Waits for the server no longer than [`Database::in_time`].
    pub async fn insert(&self, seconds: &[Second]) -> Result<u64, DatabaseError> {
        let mut columns = Columns::default();
        for second in seconds {
            columns.push(second);
        }
        let what = || format!("write {} seconds of metrics", seconds.len());
        let insert = sqlx::query!(
            r#"INSERT INTO stream_metrics
                   (installation, stream_id, broadcast, "timestamp", viewers, ingress_kbps,
                    egress_kbps, quality, dropped_frames, buffering_events)
               SELECT $1, stream, broadcast, to_timestamp(at_s), viewers, ingress, egress,
                      quality::jsonb, dropped, buffering
               FROM unnest($2::text[], $3::uuid[], $4::bigint[], $5::integer[], $6::bigint[],
                           $7::bigint[], $8::text[], $9::bigint[], $10::bigint[])
                   AS s (stream, broadcast, at_s, viewers, ingress, egress, quality, dropped,
                         buffering)
               ON CONFLICT DO NOTHING"#,
            self.installation.as_str(),
            &columns.streams,
            &columns.broadcasts as _,
            &columns.at_s,
            &columns.viewers,
            &columns.ingress_kbps,
            &columns.egress_kbps,
            &columns.quality,
            &columns.dropped_frames,
            &columns.buffering_events,
        )
        .execute(self.database.pool());
        let done = async { insert.await.map_err(|e| self.database.error(what(), e)) };
        self.database.in_time(&what(), done).await.map(|done| done.rows_affected())
    }

    /// A stream's seconds from `from_s` up to, not including, `to_s` (s since
    /// 1970), oldest first; the newest `limit` of them, at most
    /// [`MAX_SECONDS`]. The page before them is up to the first one's second,
    /// which is all the cursor there need be: a stream has a second once.
    pub async fn range(
        &self,
        stream: &StreamId,
        from_s: i64,
        to_s: i64,
        limit: u32,
    ) -> Result<Vec<Second>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT stream_id, broadcast, extract(epoch FROM "timestamp")::bigint AS "at_s!",
                      viewers, ingress_kbps, egress_kbps, quality::text AS "quality!",
                      dropped_frames, buffering_events
               FROM stream_metrics
               WHERE stream_id = $1 AND installation = $2
                 AND "timestamp" >= to_timestamp($3::bigint)
                 AND "timestamp" < to_timestamp($4::bigint)
               ORDER BY "timestamp" DESC LIMIT $5"#,
            stream.as_str(),
            self.installation.as_str(),
            from_s,
            to_s,
            i64::from(limit.min(MAX_SECONDS)),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().rev().map(Second::try_from).collect())
        .map_err(|e| self.database.error(format!("read the metrics of {stream}"), e))
    }
}
