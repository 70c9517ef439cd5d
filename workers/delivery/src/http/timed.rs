//! Segments by their time, as DASH names them: whole, or as they grow.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Response, Version};
use millrace_media::dash::TimedName;
use millrace_media::hls::Moment;
use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_media::published::{MediaName, SegmentInfo};

use super::asker::Asker;
use super::count::Carries;
use super::freshness::Freshness;
use super::growing::Growing;
use super::media::{content_type, fetched};
use super::problem::Problem;
use super::respond::{Coding, Content};
use super::state::{Found, Shared, await_change, time_out};
use crate::fetch::MediaKey;
use crate::live::snapshot::Snapshot;
use crate::live::view::View;

/// Which segment is asked for.
#[derive(Debug, Clone)]
pub struct Timed {
    /// The stream.
    pub stream: StreamId,
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The rendition.
    pub rendition: RenditionName,
    /// The segment.
    pub name: TimedName,
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, broadcast, rendition, name } = self;
        write!(f, "{stream}/{broadcast}/{rendition}/{name}")
    }
}

impl Timed {
    /// The media of this name beside it.
    pub fn key(&self, name: MediaName) -> MediaKey {
        let Self { stream, broadcast, rendition, .. } = self;
        let (stream, rendition) = (stream.clone(), rendition.clone());
        MediaKey { stream, broadcast: *broadcast, rendition, name }
    }

    /// What a view has of it.
    pub fn moment<'v>(&self, view: &'v View) -> Moment<'v> {
        view.window(&self.rendition).map_or(Moment::Never, |window| window.at(self.name.0))
    }

    /// What a snapshot has of it.
    pub fn moment_in<'s>(&self, snapshot: &'s Snapshot) -> Moment<'s> {
        snapshot.view(self.broadcast).map_or(Moment::Never, |view| self.moment(view))
    }
}

/// The answer to a request for a segment by its time: 200, 206, 304 or 416;
/// 404 for one that is not listed. One that grows is sent part by part as they
/// come; who asks for a range of it waits for all of it, and so does who speaks
/// HTTP/1.0, which has no way to tell a whole body from one that broke off.
pub async fn get(
    shared: &Shared,
    timed: Timed,
    asker: &Asker,
    (route, version): (Option<MatchedPath>, Version),
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let found = shared.find(&timed.stream, timed.broadcast).await?;
    let at_once = headers.contains_key(RANGE) || version < Version::HTTP_11;
    let is_ready = |moment: Moment<'_>| match moment {
        Moment::Later => false,
        Moment::Growing(_) => !at_once,
        Moment::Whole(_) | Moment::Never => true,
    };
    let none = || Problem::NoSegment(timed.name);
    let (view, followed) = match found {
        Found::Archived(view) => (view, None),
        Found::Followed(mut followed) => {
            let mut view = followed.now().view(timed.broadcast).cloned().ok_or_else(none)?;
            if !is_ready(timed.moment(&view)) {
                let _place = shared.place()?;
                let patience = view.window(&timed.rendition).map(time_out).unwrap_or_default();
                let ready = |snapshot: &Arc<Snapshot>| is_ready(timed.moment_in(snapshot));
                let now = await_change(&mut followed.snapshots, patience, ready).await?;
                view = now.view(timed.broadcast).cloned().ok_or_else(none)?;
            }
            (view, Some(followed))
        }
    };
    let content_type = content_type(&view, timed.broadcast, &timed.rendition)?;
    let whole = match timed.moment(&view) {
        Moment::Whole(segment) => Some(segment),
        Moment::Growing(_) => None,
        Moment::Later | Moment::Never => return Err(none()),
    };
    asker.note(shared, &timed.stream, &view, &timed.rendition);
    match (whole, followed) {
        (Some(segment), _) => send(shared, &timed, segment, content_type, headers).await,
        (None, Some(followed)) => {
            let growing = Growing::new(shared, timed, followed, route)?;
            Ok(stream(growing, content_type))
        }
        (None, None) => Err(none()),
    }
}

async fn send(
    shared: &Shared,
    timed: &Timed,
    segment: &SegmentInfo,
    content_type: &'static str,
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let SegmentInfo { msn, run, .. } = *segment;
    let name = MediaName::Segment { msn, run };
    // Of its bytes, not of its time: one whose parts were lost is made again.
    let etag = format!("\"{name}\"");
    let bytes = fetched(shared, &timed.key(name)).await?;
    let (cache, coding) = (Freshness::Immutable, Coding::Sole);
    let mut response = Content { bytes, content_type, etag, cache, coding }.respond(headers);
    let Timed { stream, rendition, .. } = timed.clone();
    response.extensions_mut().insert(Carries { stream, rendition });
    Ok(response)
}

/// Without a length and a tag: they are not known yet. A cache may keep it for
/// ever as well, once it has come to its end.
fn stream(growing: Growing, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from_stream(growing.into_stream()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, Freshness::Immutable.header());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}
