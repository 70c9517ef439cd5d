//! DASH: the manifest of a broadcast, and the clock that it goes by. Its media
//! is under `/hls/`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use millrace_media::dash;
use millrace_media::id::{BroadcastId, StreamId};
use millrace_platform::wall;

use super::freshness::Freshness;
use super::playlists::respond;
use super::problem::Problem;
use super::state::{Found, Shared};
use super::ticket::{Admitted, Ticket};

/// ISO/IEC 23009-1 Annex C.
const MANIFEST: &str = "application/dash+xml";

/// `GET /dash/{stream_id}/manifest.mpd`: of the current or last broadcast. 503
/// when it has no segment in time.
pub async fn current(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    ticket: Ticket,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let followed = shared.follow(&stream).await?;
    let view = followed.now().current.clone();
    let broadcast = view.broadcast();
    if let Admitted::Holder(_) = ticket.admit(&shared, &stream, &view).await? {
        // To where it is asked for again, with the token in the URL: so the
        // manifest is of the same bytes for all, and need not name that place.
        return Ok(redirect(&format!("{broadcast}.mpd{}", ticket.query())));
    }
    let (manifest, view) = shared.manifest(Found::Followed(followed), &stream, broadcast).await?;
    // After the end too: another broadcast may follow.
    let cache = Freshness::Current(view.target_duration());
    Ok(respond(manifest, MANIFEST, cache, &headers))
}

/// `GET /dash/{stream_id}/{broadcast}.mpd`: where players ask again, so that
/// one who plays a broadcast does not get into the next.
pub async fn of_broadcast(
    State(shared): State<Shared>,
    Path((stream, name)): Path<(String, String)>,
    ticket: Ticket,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let broadcast: BroadcastId = name.strip_suffix(".mpd").unwrap_or_default().parse()?;
    let found = shared.find(&stream, broadcast).await?;
    let none = || Problem::NoBroadcast(stream.clone(), broadcast);
    let seen = found.view(broadcast).ok_or_else(none)?;
    let admitted = ticket.admit(&shared, &stream, &seen).await?;
    let (manifest, view) = shared.manifest(found, &stream, broadcast).await?;
    let current = Freshness::Current(view.target_duration());
    let cache = if view.has_ended() { Freshness::Final } else { current };
    Ok(respond(manifest, MANIFEST, admitted.freshness(cache), &headers))
}

/// 307: this once, and each viewer for itself.
fn redirect(to: &str) -> Response<Body> {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, Freshness::Never.header());
    if let Ok(to) = HeaderValue::try_from(to) {
        headers.insert(LOCATION, to);
    }
    response
}

/// `GET /dash/{stream_id}/time`: the wall clock, as the manifest's `UTCTiming`
/// promises. It asks nothing of the stream.
pub async fn time(Path(stream): Path<String>) -> Result<Response<Body>, Problem> {
    let _: StreamId = stream.parse()?;
    let mut response = dash::time(wall::ms()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, Freshness::Never.header());
    Ok(response)
}
