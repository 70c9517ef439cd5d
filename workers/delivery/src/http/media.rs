//! Parts, segments and init segments.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response};
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_media::published::{MediaName, RenditionKind};

use super::asker::Asker;
use super::count::Carries;
use super::problem::Problem;
use super::respond::{Coding, Content, IMMUTABLE};
use super::state::{Shared, Want};
use crate::fetch::{MediaKey, NoMedia};

/// `GET /hls/{stream_id}/{broadcast}/{rendition}/{name}`: 200, 206, 304 or
/// 416; 404 when it is not kept; a hinted part is waited for.
pub async fn get(
    State(shared): State<Shared>,
    Path((stream, broadcast, rendition, name)): Path<(String, String, String, String)>,
    asker: Asker,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let stream: StreamId = stream.parse()?;
    let broadcast: BroadcastId = broadcast.parse()?;
    let rendition: RenditionName = rendition.parse()?;
    let name: MediaName = name.parse()?;
    let found = shared.find(&stream, broadcast).await?;
    let view = match shared.wait_for(found, broadcast, &rendition, Want::of(&name)).await {
        // No playlist names it, so nothing was asked that could be there.
        Err(Problem::TooFarAhead(_)) => return Err(Problem::NoMedia(name)),
        other => other?,
    };
    let info = view.info.rendition(&rendition);
    let info = info.ok_or_else(|| Problem::NoRendition(broadcast, rendition.clone()))?;
    let content_type = match info.kind {
        RenditionKind::Video { .. } => "video/mp4",
        RenditionKind::Audio { .. } => "audio/mp4",
    };
    asker.note(&shared, &stream, &view, &rendition);
    let carries = Carries { stream: stream.clone(), rendition: rendition.clone() };
    let key = MediaKey { stream, broadcast, rendition, name };
    let bytes = match shared.fetch.get(&key).await {
        Ok(bytes) => bytes,
        Err(NoMedia::Absent) => return Err(Problem::NoMedia(key.name)),
        Err(NoMedia::Behind) => return Err(Problem::Behind),
    };
    // The name never has other bytes, so it is the tag.
    let etag = format!("\"{}\"", key.name);
    let mut response =
        Content { bytes, content_type, etag, cache: IMMUTABLE, coding: Coding::Sole }
            .respond(&headers);
    response.extensions_mut().insert(carries);
    Ok(response)
}
