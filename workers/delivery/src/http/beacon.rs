//! The presence beacon of our player: it joins, says every 10 s that it still
//! watches, and leaves.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use millrace_media::id::{RenditionName, StreamId};
use millrace_platform::postgres::sessions::SessionSource;
use millrace_platform::redis::viewers::{Sign, Viewer};
use serde::Deserialize;

use super::asker::{Asker, rung};
use super::problem::Problem;
use super::state::Shared;
use super::ticket::Ticket;
use crate::audience::sighting::Sighting;

/// Longest body taken, in bytes.
pub const MAX_BODY: usize = 1024;

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// It began to play.
    Join,
    /// It still plays.
    #[default]
    Heartbeat,
    /// It is closed.
    Leave,
}

/// What a player tells of the visit so far. Fields it adds later are ignored
/// here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    rendition: Option<RenditionName>,
    latency_ms: Option<i64>,
    stalls: u32,
    dropped_frames: u64,
    watch_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Beacon {
    /// A random name of this visit: 32 hex digits.
    viewer: String,
    #[serde(default)]
    event: Happened,
    #[serde(flatten)]
    figures: Figures,
}

/// `POST /hls/{stream_id}/beacon`: 204; 400 for a body that is no beacon; 404
/// for a stream of which nothing is known.
pub async fn take(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    asker: Asker,
    ticket: Ticket,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let stream: StreamId = stream.parse()?;
    let beacon: Beacon = serde_json::from_slice(&body)
        .map_err(|error| Problem::Query(format!("not a beacon: {error}")))?;
    let told = (viewer(&beacon.viewer)?, beacon.event, beacon.figures);
    note(&shared, &stream, told, (&asker, &ticket)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The name of a visit: 32 hex digits.
pub fn viewer(name: &str) -> Result<Viewer, Problem> {
    let is_name = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let viewer = name.parse().ok().filter(|_| is_name);
    viewer.ok_or_else(|| Problem::Query("not a beacon: viewer is not 32 hex digits".to_owned()))
}

/// Notes what a viewer tells who may watch.
pub async fn note(
    shared: &Shared,
    stream: &StreamId,
    (viewer, event, figures): (Viewer, Happened, Figures),
    (asker, ticket): (&Asker, &Ticket),
) -> Result<(), Problem> {
    let view = shared.follow(stream).await?.now().current.clone();
    ticket.admit(shared, stream, &view).await?;
    shared.metrics.beacons.inc();
    let Figures { rendition, latency_ms, stalls, dropped_frames, watch_ms } = figures;
    tracing::debug!(%stream, ?event, ?rendition, latency_ms, stalls, "beacon");
    let left = event == Happened::Leave;
    if view.has_ended() && !left {
        return Ok(());
    }
    let seen = Sighting {
        viewer,
        network: asker.network(),
        source: SessionSource::Beacon,
        sign: if left { Sign::Left } else { Sign::Seen },
        covers: asker.guess(shared, stream),
        broadcast: view.broadcast(),
        rendition: rendition.and_then(|name| rung(&view, &name)),
        stalls,
        more_stalls: 0,
        dropped_frames,
        watch_ms,
    };
    shared.audience.see(stream, seen);
    Ok(())
}
