//! Seconds of a stream, averaged over longer spans for those who draw them.

use std::collections::BTreeMap;

use millrace_media::id::{RenditionName, StreamId};

use super::StreamMetrics;
use crate::postgres::{DatabaseError, decode};

/// Seconds of one span that viewers by rendition are averaged over, about: they
/// are JSON, and a month has millions.
const SAMPLES: i64 = 60;

/// A span of equal parts: from, up to, the parts' length; s since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first second.
    pub from_s: i64,
    /// One past the last second.
    pub to_s: i64,
    /// Seconds of a part; at least 1.
    pub step_s: i64,
}

/// What a stream was like in one part of a span, in the seconds that have a
/// row.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// When it begins, s since 1970.
    pub at_s: i64,
    /// Who watched, on average.
    pub viewers: f64,
    /// From the publisher, kbit/s on average.
    pub ingress_kbps: f64,
    /// To all viewers, kbit/s on average.
    pub egress_kbps: f64,
    /// Viewers by rendition, on average.
    pub quality: BTreeMap<RenditionName, f64>,
    /// Frames viewers' decoders dropped.
    pub dropped_frames: i64,
    /// Stalls of viewers.
    pub buffering_events: i64,
}

impl StreamMetrics {
    /// The parts of a span in which the stream has rows, oldest first.
    pub async fn buckets(
        &self,
        stream: &StreamId,
        span: Span,
    ) -> Result<Vec<Bucket>, DatabaseError> {
        let step = span.step_s.max(1);
        let rows = sqlx::query!(
            r#"WITH rows AS (
                   SELECT (extract(epoch FROM "timestamp")::bigint - $3) / $5 AS part,
                          extract(epoch FROM "timestamp")::bigint % $6 = 0 AS sampled, *
                   FROM stream_metrics
                   WHERE stream_id = $1 AND installation = $2
                     AND "timestamp" >= to_timestamp($3::bigint)
                     AND "timestamp" < to_timestamp($4::bigint)),
               rungs AS (
                   SELECT part, key, sum(value::bigint)::float8 AS viewers
                   FROM rows, jsonb_each_text(quality) WHERE sampled GROUP BY part, key),
               samples AS (
                   SELECT part, count(*)::float8 AS count FROM rows WHERE sampled GROUP BY part),
               qualities AS (
                   SELECT part, jsonb_object_agg(key, viewers / count)::text AS quality
                   FROM rungs JOIN samples USING (part) GROUP BY part)
               SELECT part AS "part!", avg(viewers)::float8 AS "viewers!",
                      avg(ingress_kbps)::float8 AS "ingress!", avg(egress_kbps)::float8 AS "egress!",
                      sum(dropped_frames)::bigint AS "dropped!",
                      sum(buffering_events)::bigint AS "buffering!",
                      coalesce(max(qualities.quality), '{}') AS "quality!"
               FROM rows LEFT JOIN qualities USING (part)
               GROUP BY part ORDER BY part"#,
            stream.as_str(),
            self.installation.as_str(),
            span.from_s,
            span.to_s,
            step,
            (step / SAMPLES).max(1),
        )
        .fetch_all(self.database.pool())
        .await;
        let buckets: Result<Vec<_>, sqlx::Error> = rows.and_then(|rows| {
            let read = rows.into_iter().map(|row| {
                Ok(Bucket {
                    at_s: span.from_s.saturating_add(row.part.saturating_mul(step)),
                    viewers: row.viewers,
                    ingress_kbps: row.ingress,
                    egress_kbps: row.egress,
                    quality: serde_json::from_str(&row.quality).map_err(decode)?,
                    dropped_frames: row.dropped,
                    buffering_events: row.buffering,
                })
            });
            read.collect()
        });
        buckets.map_err(|e| self.database.error(format!("read the metrics of {stream}"), e))
    }
}
