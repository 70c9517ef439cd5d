//! The presence beacon of our player.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use millrace_media::id::{RenditionName, StreamId};
use millrace_platform::redis::viewers::{Report, Sign};
use serde::Deserialize;

use super::problem::Problem;
use super::state::Shared;

/// Longest body taken, in bytes.
pub const MAX_BODY: usize = 1024;
/// Presence is not worth waiting for longer.
const TIME_OUT: Duration = Duration::from_secs(2);

/// What a player tells. Fields it adds later are ignored here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beacon {
    /// A random name of this page view: 32 hex digits.
    viewer: String,
    rendition: Option<RenditionName>,
    latency_ms: Option<i64>,
    #[serde(default)]
    stalls: u32,
}

/// `POST /hls/{stream_id}/beacon`: 204; 400 for a body that is no beacon; 404
/// for a stream of which nothing is known.
pub async fn take(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let stream: StreamId = stream.parse()?;
    let beacon: Beacon = serde_json::from_slice(&body)
        .map_err(|error| Problem::Query(format!("not a beacon: {error}")))?;
    if beacon.viewer.len() != 32 || !beacon.viewer.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Problem::Query("not a beacon: viewer is not 32 hex digits".to_owned()));
    }
    let broadcast = shared.follow(&stream).await?.now().current.broadcast();
    shared.metrics.beacons.inc();
    let Beacon { viewer, rendition, latency_ms, stalls } = beacon;
    tracing::debug!(%stream, ?rendition, latency_ms, stalls, "beacon");
    let name = viewer.parse().map_err(|_| Problem::Query("not a beacon".to_owned()))?;
    let report = Report {
        viewer: name,
        sign: Sign::Seen,
        covers: None,
        joined_ms: 0,
        broadcast,
        rendition,
        stalls,
        more_stalls: 0,
        dropped_frames: 0,
    };
    let seen = shared.origin.viewer_seen(&stream, report);
    match tokio::time::timeout(TIME_OUT, seen).await {
        Ok(Ok(())) => {}
        // The figures miss a viewer for a while; the viewer misses nothing.
        Ok(Err(error)) => {
            tracing::debug!(%stream, error = millrace_platform::report::report(&error), "presence not recorded")
        }
        Err(_) => tracing::debug!(%stream, "presence not recorded in time"),
    }
    Ok(StatusCode::NO_CONTENT)
}
