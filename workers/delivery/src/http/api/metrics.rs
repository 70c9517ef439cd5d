//! The figures of a stream: now, and over time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use millrace_media::id::RenditionName;
use millrace_platform::postgres::metrics::{Bucket, Span};
use millrace_platform::redis::metrics::MetricsData;
use millrace_platform::report::report;
use millrace_platform::wall;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::on::{On, Read};
use super::problem::{ApiProblem, Refusals};
use super::request::Query;
use super::state::Api;
use super::time::Time;
use crate::http::problem::Problem;
use crate::http::streams::edge_latency;

/// Longest time that is told of at once, in seconds.
const LONGEST: i64 = 31 * 24 * 60 * 60;
/// What is told without `from`, in seconds.
const HOUR: i64 = 60 * 60;

/// The last second of a stream.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricsNow {
    /// Which second.
    at: Time,
    /// `<namespace>.<name>`.
    stream_id: String,
    /// Who watches.
    concurrent_viewers: u32,
    /// From the publisher, Mbit/s.
    ingress_bitrate_mbps: f64,
    /// To all viewers, Mbit/s.
    egress_bitrate_mbps: f64,
    /// Viewers by rung.
    #[schema(value_type = BTreeMap<String, u32>)]
    quality_distribution: BTreeMap<RenditionName, u32>,
    /// Frames that viewers' decoders dropped in the second.
    dropped_frames: u64,
    /// Stalls of viewers in the second.
    buffering_events: u64,
    /// From the end of the newest part to now; null where it is not known.
    part_latency_ms: Option<f64>,
    /// How long records had been in the log when the transcoder read them in
    /// the second, at the most; null where it read none.
    log_lag_seconds: Option<f64>,
}

/// The figures of a stream's last second
///
/// 404 when it is not live.
#[utoipa::path(get, path = "/streams/{stream_id}/metrics", operation_id = "metrics_now", tag = "metrics",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`")), responses(
    (status = 200, body = MetricsNow), Refusals))]
pub async fn now(State(api): State<Api>, on: On<Read>) -> Result<Json<MetricsNow>, ApiProblem> {
    let snapshot = api.shared.origin.metrics.get_snapshot(&on.stream).await.map_err(|error| {
        tracing::warn!(error = report(&error), "a stream's metrics can't be read");
        Problem::Behind
    })?;
    let none = || ApiProblem::not_found(format!("stream {} is not live", on.stream));
    let snapshot = snapshot.ok_or_else(none)?;
    let edge = api.shared.follow(&on.stream).await.ok();
    let MetricsData {
        stream_id,
        concurrent_viewers,
        ingress_bitrate_mbps,
        egress_bitrate_mbps,
        quality_distribution,
        dropped_frames,
        buffering_events,
    } = snapshot.data;
    Ok(Json(MetricsNow {
        at: Time::of_seconds(i64::try_from(snapshot.second).unwrap_or_default()),
        stream_id: stream_id.to_string(),
        concurrent_viewers,
        ingress_bitrate_mbps,
        egress_bitrate_mbps,
        quality_distribution,
        dropped_frames,
        buffering_events,
        log_lag_seconds: snapshot.log_lag_ms.map(|ms| Duration::from_millis(ms).as_secs_f64()),
        part_latency_ms: edge.and_then(|edge| edge_latency(&edge.now())).map(|s| s * 1_000.0),
    }))
}

/// Of which time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Range {
    /// From then on; an hour before `to` by default.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Time>,
    /// Until then; now by default. At most 31 days after `from`.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Time>,
    /// Most points wanted: 1 to 1000, 300 by default.
    #[param(minimum = 1, maximum = 1000)]
    points: Option<u32>,
}

impl Range {
    fn span(&self) -> Result<Span, ApiProblem> {
        let points = self.points.unwrap_or(300);
        if !(1..=1_000).contains(&points) {
            return Err(ApiProblem::field("points", "expected 1 to 1000"));
        }
        let to_s = self.to.map_or_else(wall::ms, |to| to.0).div_euclid(1_000);
        let from_s = self.from.map_or(to_s - HOUR, |from| from.0.div_euclid(1_000));
        if !(1..=LONGEST).contains(&(to_s - from_s)) {
            return Err(ApiProblem::field("from", "expected before to, by at most 31 days"));
        }
        let step_s = (to_s - from_s + i64::from(points) - 1) / i64::from(points);
        Ok(Span { from_s, to_s, step_s })
    }
}

/// Figures over time.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricsRange {
    from: Time,
    to: Time,
    /// Seconds of a point.
    step_seconds: i64,
    /// The oldest first.
    points: Vec<Point>,
}

/// What a stream was like for some seconds; null where it was not live.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When they begin.
    at: Time,
    /// Who watched, on average.
    viewers: Option<f64>,
    /// From the publisher, kbit/s on average.
    ingress_kbps: Option<f64>,
    /// To all viewers, kbit/s on average.
    egress_kbps: Option<f64>,
    /// Viewers by rendition, on average.
    #[schema(value_type = Option<BTreeMap<String, f64>>)]
    quality: Option<BTreeMap<RenditionName, f64>>,
    /// Frames that viewers' decoders dropped.
    dropped_frames: Option<i64>,
    /// Stalls of viewers.
    buffering_events: Option<i64>,
}

/// The figures of a stream over time, in equal steps
#[utoipa::path(get, path = "/streams/{stream_id}/metrics/range", operation_id = "metrics_range", tag = "metrics",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"), Range), responses(
    (status = 200, body = MetricsRange), Refusals))]
pub async fn range(
    State(api): State<Api>,
    on: On<Read>,
    Query(range): Query<Range>,
) -> Result<Json<MetricsRange>, ApiProblem> {
    let span = range.span()?;
    let record = api.record()?;
    // Never closed.
    let _place = record.ranges.acquire().await;
    let buckets = record.metrics.buckets(&on.stream, span).await?;
    let Span { from_s, to_s, step_s } = span;
    Ok(Json(MetricsRange {
        from: Time::of_seconds(from_s),
        to: Time::of_seconds(to_s),
        step_seconds: step_s,
        points: points(span, buckets),
    }))
}

/// One for each step, whether there is a bucket or not.
fn points(span: Span, buckets: Vec<Bucket>) -> Vec<Point> {
    let mut by_time: HashMap<i64, Bucket> = buckets.into_iter().map(|b| (b.at_s, b)).collect();
    let steps = std::iter::successors(Some(span.from_s), |at| at.checked_add(span.step_s));
    let steps = steps.take_while(|at| *at < span.to_s);
    let point = |at_s| {
        let bucket = by_time.remove(&at_s);
        let of = bucket.as_ref();
        Point {
            at: Time::of_seconds(at_s),
            viewers: of.map(|b| b.viewers),
            ingress_kbps: of.map(|b| b.ingress_kbps),
            egress_kbps: of.map(|b| b.egress_kbps),
            dropped_frames: of.map(|b| b.dropped_frames),
            buffering_events: of.map(|b| b.buffering_events),
            quality: bucket.map(|b| b.quality),
        }
    };
    steps.map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_no_more_points_than_wanted_and_ends_where_it_should() {
        let range = |seconds: i64, points| Range {
            from: Some(Time(0)),
            to: Some(Time::of_seconds(seconds)),
            points: Some(points),
        };
        for (seconds, wanted, step, count) in
            [(10, 300, 1, 10), (3_600, 300, 12, 300), (3_601, 300, 13, 277), (1, 1, 1, 1)]
        {
            let span = range(seconds, wanted).span().unwrap();
            assert_eq!((span.step_s, points(span, Vec::new()).len()), (step, count), "{seconds}");
        }
        for (seconds, wanted) in [(0, 1), (-5, 1), (LONGEST + 1, 1), (10, 0), (10, 1_001)] {
            assert!(range(seconds, wanted).span().is_err(), "{seconds} {wanted}");
        }
    }
}
