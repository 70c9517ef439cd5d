//! Multivariant and media playlists.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use millrace_media::hls;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};

use super::asker::Asker;
use super::count::Carries;
use super::freshness::Freshness;
use super::problem::Problem;
use super::respond::{Coding, Content};
use super::state::{Shared, Want};
use super::ticket::{Admitted, Ticket};
use crate::live::playlist::Playlist;
use crate::live::view::Form;

/// RFC 8216bis §10, as Apple's and the common players send it.
const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// `GET /hls/{stream_id}/index.m3u8`
pub async fn multivariant(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    ticket: Ticket,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let followed = shared.follow(&stream).await?;
    let view = followed.now().current.clone();
    let admitted = ticket.admit(&shared, &stream, &view).await?;
    // After the end too: another broadcast may follow.
    let cache = admitted.freshness(Freshness::Current(view.target_duration()));
    let playlist = match (admitted, ticket.in_url()) {
        // With it players show it again for the playlists of renditions.
        (Admitted::Holder(_), Some(token)) => {
            Playlist::new(hls::multivariant(&view.info, Some(&format!("token={token}"))))
        }
        _ => view.multivariant(),
    };
    Ok(respond(playlist, CONTENT_TYPE, cache, &headers))
}

/// `GET /hls/{stream_id}/{broadcast}/{rendition}/media.m3u8`, with the
/// delivery directives of RFC 8216bis §6.2.5: 400 for wrong ones or when too
/// far ahead, 503 when what was waited for did not come in time.
pub async fn media(
    State(shared): State<Shared>,
    Path((stream, broadcast, rendition)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    asker: Asker,
    ticket: Ticket,
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
    let none = || Problem::NoBroadcast(stream.clone(), broadcast);
    // Before it waits: places are for those who may watch.
    let seen = found.view(broadcast).ok_or_else(none)?;
    let admitted = ticket.admit(&shared, &stream, &seen).await?;
    let view = shared.wait_for(found, broadcast, &rendition, want).await?;
    asker.note(&shared, &stream, &view, &rendition);
    let on_write = || {
        shared.metrics.renders.inc();
    };
    let playlist = view.playlist(&rendition, form, on_write);
    let playlist = playlist.ok_or_else(|| Problem::NoRendition(broadcast, rendition.clone()))?;
    let cache = match (view.has_ended(), want) {
        (true, _) => Freshness::Final,
        (false, Some(_)) => Freshness::Blocking(view.target_duration()),
        (false, None) => Freshness::Current(view.target_duration()),
    };
    let mut response = respond(playlist, CONTENT_TYPE, admitted.freshness(cache), &headers);
    response.extensions_mut().insert(Carries { stream, rendition });
    Ok(response)
}

/// The answer to a request for a text that can be had packed.
pub fn respond(
    playlist: Playlist,
    content_type: &'static str,
    cache: Freshness,
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
