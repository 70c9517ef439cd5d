//! Multivariant and media playlists.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use millrace_media::hls;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};

use super::asker::Asker;
use super::count::Carries;
use super::problem::Problem;
use super::respond::{Coding, Content};
use super::state::{Shared, Want};
use crate::live::playlist::Playlist;
use crate::live::view::Form;

/// RFC 8216bis §10, as Apple's and the common players send it.
const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";
/// Asked again each time; the tag makes it cheap.
pub const REVALIDATE: &str = "no-cache";
/// The answer to a blocking request stays an answer to it; caches share it
/// between viewers who ask at the same moment.
const BLOCKING: &str = "public, max-age=6";
/// Nothing will change.
pub const FINAL: &str = "public, max-age=60";

/// `GET /hls/{stream_id}/index.m3u8`
pub async fn multivariant(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let followed = shared.follow(&stream).await?;
    let playlist = followed.now().current.multivariant();
    Ok(respond(playlist, CONTENT_TYPE, REVALIDATE, &headers))
}

/// `GET /hls/{stream_id}/{broadcast}/{rendition}/media.m3u8`, with the
/// delivery directives of RFC 8216bis §6.2.5: 400 for wrong ones or when too
/// far ahead, 503 when what was waited for did not come in time.
pub async fn media(
    State(shared): State<Shared>,
    Path((stream, broadcast, rendition)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    asker: Asker,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let broadcast: BroadcastId = broadcast.parse()?;
    let rendition: RenditionName = rendition.parse()?;
    let query = hls::Query::parse(query.as_deref().unwrap_or_default())
        .map_err(|error| Problem::Query(error.to_string()))?;
    let want = query.msn.map(|msn| Want { msn, part: query.part });
    let form = if query.skip { Form::Delta } else { Form::Full };

    let found = shared.find(&stream, broadcast).await?;
    let view = shared.wait_for(found, broadcast, &rendition, want).await?;
    asker.note(&shared, &stream, &view, &rendition);
    let on_write = || {
        shared.metrics.renders.inc();
    };
    let playlist = view.playlist(&rendition, form, on_write);
    let playlist = playlist.ok_or_else(|| Problem::NoRendition(broadcast, rendition.clone()))?;
    let cache = match (view.has_ended(), want) {
        (true, _) => FINAL,
        (false, Some(_)) => BLOCKING,
        (false, None) => REVALIDATE,
    };
    let mut response = respond(playlist, CONTENT_TYPE, cache, &headers);
    response.extensions_mut().insert(Carries { stream, rendition });
    Ok(response)
}

/// The answer to a request for a text that can be had packed.
pub fn respond(
    playlist: Playlist,
    content_type: &'static str,
    cache: &'static str,
    request: &HeaderMap,
) -> Response<Body> {
    let coding = Coding::of(request);
    let (bytes, etag) = match coding {
        // Other bytes need another tag (RFC 9110 §8.8.3.3).
        Coding::Gzip => (playlist.gzip(), playlist.etag.replacen('"', "\"gz-", 1)),
        Coding::Identity | Coding::Sole => (playlist.bytes, playlist.etag),
    };
    Content { bytes, content_type, etag, cache, coding }.respond(request)
}
