//! `events_outbox`: events that are committed with what they tell, and wait
//! there until Kafka has them.
//!
//! Whoever appends to a stream holds that stream's lock until its transaction
//! ends, so ids of one stream are in the order of commits and a reader that
//! goes by id never meets an earlier event after a later one. At least once:
//! an event is deleted after it was sent, and its id is the same each time.

use millrace_media::id::StreamId;
use serde::Serialize;

use super::{Database, DatabaseError, Transaction, decode};
use crate::config::Installation;
use crate::kafka::Event;

/// First half of the advisory locks' keys ("ebox").
const LOCK_CLASS: i32 = 0x6562_6f78;
/// Streams share this many locks, so that a batch of many streams needs few.
const LOCKS: i32 = 64;

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The row; a stream's later event has a higher one.
    pub id: i64,
    /// The `id` attribute.
    pub event_id: String,
    /// The `type` attribute.
    pub kind: String,
    /// The kind of process it comes from, for the `source` attribute.
    pub source: String,
    /// The `subject` attribute and the message's key.
    pub stream: StreamId,
    /// The `time` attribute, ms since 1970.
    pub time_ms: i64,
    /// The data, JSON.
    pub data: String,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Events, counted up to 100,000.
    pub events: u64,
    /// When the oldest was written, ms since 1970.
    pub oldest_ms: Option<i64>,
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    installation: Installation,
}

struct Row {
    id: i64,
    event_id: String,
    kind: String,
    source: String,
    stream_id: String,
    time_ms: i64,
    data: String,
}

impl TryFrom<Row> for Waiting {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            event_id: row.event_id,
            kind: row.kind,
            source: row.source,
            stream: row.stream_id.parse().map_err(decode)?,
            time_ms: row.time_ms,
            data: row.data,
        })
    }
}

impl Outbox {
    /// The outbox of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// Appends events in this order, to be sent once the transaction is
    /// committed; says how many were new: one that waits already is not
    /// written again. `source` is the kind of this process, for example
    /// `ingest`.
    pub async fn append<D: Serialize>(
        &self,
        transaction: &mut Transaction,
        source: &str,
        events: &[Event<D>],
    ) -> Result<u64, DatabaseError> {
        if events.is_empty() {
            return Ok(0);
        }
        let what = || format!("append {} events", events.len());
        let mut data = Vec::with_capacity(events.len());
        for event in events {
            let json = serde_json::to_string(&event.data);
            data.push(json.map_err(|e| transaction.error(what(), decode(e)))?);
        }
        let ids: Vec<String> = events.iter().map(Event::id).collect();
        let kinds: Vec<String> = events.iter().map(|e| e.kind.as_str().to_owned()).collect();
        let streams: Vec<String> = events.iter().map(|e| e.stream.as_str().to_owned()).collect();
        let times: Vec<i64> = events.iter().map(|e| e.time_ms).collect();
        self.lock(transaction, &streams).await?;
        let done = sqlx::query!(
            r#"INSERT INTO events_outbox
                   (installation, event_id, type, source, stream_id, "time", data)
               SELECT $1, event_id, type, $2, stream_id, to_timestamp(time_ms / 1000.0),
                      data::jsonb
               FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
                   WITH ORDINALITY AS e (event_id, type, stream_id, time_ms, data, place)
               ORDER BY place
               ON CONFLICT DO NOTHING"#,
            self.installation.as_str(),
            source,
            &ids,
            &kinds,
            &streams,
            &times,
            &data,
        )
        .execute(transaction.connection())
        .await;
        done.map(|done| done.rows_affected()).map_err(|e| transaction.error(what(), e))
    }

    /// Waits for the right to append to these streams; held until the
    /// transaction ends. Taken in one order, so that two can't wait for each
    /// other.
    async fn lock(
        &self,
        transaction: &mut Transaction,
        streams: &[String],
    ) -> Result<(), DatabaseError> {
        let done = sqlx::query!(
            "SELECT pg_advisory_xact_lock($1, bucket)
             FROM (SELECT DISTINCT abs(hashtext($2 || '/' || stream) % $3) AS bucket
                   FROM unnest($4::text[]) AS stream ORDER BY bucket) AS buckets",
            LOCK_CLASS,
            self.installation.as_str(),
            LOCKS,
            streams,
        )
        .execute(transaction.connection())
        .await;
        done.map(drop).map_err(|e| transaction.error("wait to append events", e))
    }

    /// The first `limit` events that wait, in order.
    pub async fn fetch(&self, limit: u32) -> Result<Vec<Waiting>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT id, event_id, type AS kind, source, stream_id,
                      (extract(epoch FROM "time") * 1000)::bigint AS "time_ms!",
                      data::text AS "data!"
               FROM events_outbox WHERE installation = $1 ORDER BY id LIMIT $2"#,
            self.installation.as_str(),
            i64::from(limit),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(Waiting::try_from).collect())
        .map_err(|e| self.database.error("read the events that wait", e))
    }

    /// Deletes events that were sent; says how many there were.
    pub async fn delete(&self, ids: &[i64]) -> Result<u64, DatabaseError> {
        sqlx::query!(
            "DELETE FROM events_outbox WHERE installation = $1 AND id = ANY($2)",
            self.installation.as_str(),
            ids,
        )
        .execute(self.database.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(|e| self.database.error(format!("delete {} sent events", ids.len()), e))
    }

    /// How much waits, for metrics.
    pub async fn backlog(&self) -> Result<Backlog, DatabaseError> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "events!",
                      (extract(epoch FROM min(created_at)) * 1000)::bigint AS "oldest_ms"
               FROM (SELECT created_at FROM events_outbox WHERE installation = $1
                     ORDER BY id LIMIT 100000) AS waiting"#,
            self.installation.as_str(),
        )
        .fetch_one(self.database.pool())
        .await
        .map_err(|e| self.database.error("count the events that wait", e))?;
        Ok(Backlog {
            events: u64::try_from(row.events).unwrap_or_default(),
            oldest_ms: row.oldest_ms,
        })
    }
}
