//! DASH: the manifest of a broadcast, and the clock that it goes by. Its media
//! is under `/hls/`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Response};
use axum::response::IntoResponse;
use millrace_media::dash;
use millrace_media::id::{BroadcastId, StreamId};
use millrace_platform::wall;

use super::playlists::{FINAL, REVALIDATE, respond};
use super::problem::Problem;
use super::state::{Found, Shared};

/// ISO/IEC 23009-1 Annex C.
const MANIFEST: &str = "application/dash+xml";

/// `GET /dash/{stream_id}/manifest.mpd`: of the current or last broadcast. 503
/// when it has no whole segment in time.
pub async fn current(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let followed = shared.follow(&stream).await?;
    let broadcast = followed.now().current.broadcast();
    let (manifest, _) = shared.manifest(Found::Followed(followed), &stream, broadcast).await?;
    // After the end too: another broadcast may follow.
    Ok(respond(manifest, MANIFEST, REVALIDATE, &headers))
}

/// `GET /dash/{stream_id}/{broadcast}.mpd`: where players ask again, so that
/// one who plays a broadcast does not get into the next.
pub async fn of_broadcast(
    State(shared): State<Shared>,
    Path((stream, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let broadcast: BroadcastId = name.strip_suffix(".mpd").unwrap_or_default().parse()?;
    let found = shared.find(&stream, broadcast).await?;
    let (manifest, ended) = shared.manifest(found, &stream, broadcast).await?;
    let cache = if ended { FINAL } else { REVALIDATE };
    Ok(respond(manifest, MANIFEST, cache, &headers))
}

/// `GET /dash/{stream_id}/time`: the wall clock, as the manifest's `UTCTiming`
/// promises. It asks nothing of the stream.
pub async fn time(Path(stream): Path<String>) -> Result<Response<Body>, Problem> {
    let _: StreamId = stream.parse()?;
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    Ok((headers, dash::time(wall::ms())).into_response())
}
