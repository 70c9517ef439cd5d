//! The streams as an administrator sees them.

use millrace_platform::report::report;
use millrace_platform::wall;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use serde::Serialize;

use super::problem::Problem;
use super::state::Shared;
use crate::live::snapshot::Snapshot;

/// The number of viewers is left out when Redis does not tell it in this time.
const TIME_OUT: Duration = Duration::from_secs(2);

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// A broadcast is on.
    Live,
    /// The last broadcast is over.
    Ended,
    /// Nothing was ever broadcast, or long ago.
    Offline,
}

/// One stream.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// The stream.
    pub stream_id: StreamId,
    /// What it is doing.
    pub state: StreamState,
    /// The current or last broadcast.
    pub broadcast: Option<BroadcastId>,
    /// Its renditions.
    pub renditions: Vec<RenditionName>,
    /// From the end of the last published part of the top rung to now; null
    /// when not live.
    pub live_edge_latency_seconds: Option<f64>,
    /// Viewers seen in the last 30 s; null when Redis does not tell.
    pub viewers: Option<u64>,
}

/// `GET /api/v1/streams`: every stream with a current or last broadcast.
pub async fn list(State(shared): State<Shared>) -> Result<Json<Vec<StreamId>>, Problem> {
    let known = shared.origin.streams().await.map_err(|error| {
        tracing::warn!(error = report(&error), "the streams can't be listed");
        Problem::Behind
    })?;
    Ok(Json(known))
}

/// `GET /api/v1/streams/{stream_id}`
pub async fn status(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
) -> Result<Json<StreamStatus>, Problem> {
    let stream: StreamId = stream.parse()?;
    let viewers = tokio::time::timeout(TIME_OUT, shared.origin.count_viewers(&stream)).await;
    let viewers = viewers.ok().and_then(Result::ok);
    match shared.follow(&stream).await {
        Ok(followed) => Ok(Json(describe(stream, &followed.now(), viewers))),
        Err(Problem::NoStream(_)) => Ok(Json(StreamStatus {
            stream_id: stream,
            state: StreamState::Offline,
            broadcast: None,
            renditions: Vec::new(),
            live_edge_latency_seconds: None,
            viewers,
        })),
        Err(problem) => Err(problem),
    }
}

fn describe(stream_id: StreamId, snapshot: &Snapshot, viewers: Option<u64>) -> StreamStatus {
    let view = &snapshot.current;
    let live = !view.has_ended();
    StreamStatus {
        stream_id,
        state: if live { StreamState::Live } else { StreamState::Ended },
        broadcast: Some(view.broadcast()),
        renditions: view.info.renditions.iter().map(|r| r.name.clone()).collect(),
        live_edge_latency_seconds: edge_latency(snapshot),
        viewers,
    }
}

/// Seconds from the end of the top rung's last media to now, while live.
pub fn edge_latency(snapshot: &Snapshot) -> Option<f64> {
    if snapshot.current.has_ended() {
        return None;
    }
    let edge_ms = snapshot.current.edge_ms()?;
    let behind_ms = wall::ms().saturating_sub(edge_ms);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Some(behind_ms as f64 / 1_000.0)
}
