//! Parts, segments and init segments.

use axum::body::Body;
use axum::extract::{MatchedPath, Path, State};
use axum::http::{HeaderMap, Response, Version};
use bytes::Bytes;
use millrace_media::dash::TimedName;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_media::published::{MediaName, RenditionKind};

use super::asker::Asker;
use super::count::Carries;
use super::freshness::Freshness;
use super::problem::Problem;
use super::respond::{Coding, Content};
use super::state::{Shared, Want};
use super::timed::{self, Timed};
use crate::fetch::{MediaKey, NoMedia};
use crate::live::view::View;

/// `GET /hls/{stream_id}/{broadcast}/{rendition}/{name}`: 200, 206, 304 or
/// 416; 404 when it is not kept; a hinted part is waited for. DASH's names are
/// [`timed`]'s.
pub async fn get(
    State(shared): State<Shared>,
    Path((stream, broadcast, rendition, name)): Path<(String, String, String, String)>,
    asker: Asker,
    route: Option<MatchedPath>,
    version: Version,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let broadcast: BroadcastId = broadcast.parse()?;
    let rendition: RenditionName = rendition.parse()?;
    if let Ok(name) = name.parse::<TimedName>() {
        let timed = Timed { stream, broadcast, rendition, name };
        return timed::get(&shared, timed, &asker, (route, version), &headers).await;
    }
    let name: MediaName = name.parse()?;
    let found = shared.find(&stream, broadcast).await?;
    let view = match shared.wait_for(found, broadcast, &rendition, Want::of(&name)).await {
        // No playlist names it, so nothing was asked that could be there.
        Err(Problem::TooFarAhead(_)) => return Err(Problem::NoMedia(name)),
        other => other?,
    };
    let content_type = content_type(&view, broadcast, &rendition)?;
    asker.note(&shared, &stream, &view, &rendition);
    let carries = Carries { stream: stream.clone(), rendition: rendition.clone() };
    let key = MediaKey { stream, broadcast, rendition, name };
    let bytes = fetched(&shared, &key).await?;
    // The name never has other bytes, so it is the tag.
    let etag = format!("\"{}\"", key.name);
    let mut response =
        Content { bytes, content_type, etag, cache: Freshness::Immutable, coding: Coding::Sole }
            .respond(&headers);
    response.extensions_mut().insert(carries);
    Ok(response)
}

/// Of a rendition of the broadcast.
pub(super) fn content_type(
    view: &View,
    broadcast: BroadcastId,
    rendition: &RenditionName,
) -> Result<&'static str, Problem> {
    let info = view.info.rendition(rendition);
    let info = info.ok_or_else(|| Problem::NoRendition(broadcast, rendition.clone()))?;
    Ok(match info.kind {
        RenditionKind::Video { .. } => "video/mp4",
        RenditionKind::Audio { .. } => "audio/mp4",
    })
}

/// Bytes that are published, by their name.
pub(super) async fn fetched(shared: &Shared, key: &MediaKey) -> Result<Bytes, Problem> {
    shared.fetch.get(key).await.map_err(|why| match why {
        NoMedia::Absent => Problem::NoMedia(key.name.clone()),
        NoMedia::Behind => Problem::Behind,
    })
}
