//! Why a request gets no answer: a status and one plain line.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use millrace_media::dash::TimedName;
use millrace_media::id::{BroadcastId, InvalidId, RenditionName, StreamId};
use millrace_media::published::{InvalidMediaName, MediaName};

use super::freshness::Freshness;
use crate::access::Denied;

/// A request that is answered with an error.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The URL holds an id that is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The URL's last element is no media name.
    #[error(transparent)]
    Name(#[from] InvalidMediaName),
    /// Nothing was ever broadcast under this id, or long ago.
    #[error("stream {0} has no broadcast")]
    NoStream(StreamId),
    /// Not a broadcast of this stream, or gone.
    #[error("stream {0} has no broadcast {1}")]
    NoBroadcast(StreamId, BroadcastId),
    /// The broadcast has no such rendition.
    #[error("broadcast {0} has no rendition {1}")]
    NoRendition(BroadcastId, RenditionName),
    /// Not published, or no longer kept.
    #[error("no media {0}")]
    NoMedia(MediaName),
    /// No page loads a file of this name.
    #[error("no such file")]
    NoFile,
    /// No segment begins at this time, or it is no longer listed.
    #[error("no segment {0}")]
    NoSegment(TimedName),
    /// The query of a playlist is not one.
    #[error("{0}")]
    Query(String),
    /// More than what is to come next was asked for.
    #[error("segment {0} is too far ahead of the live edge")]
    TooFarAhead(u64),
    /// The broadcast is not for everybody.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is a CDN, and the request does not come from it.
    #[error("this server answers its CDN alone")]
    PastCdn,
    /// What the request waited for did not come in time.
    #[error("not published within the time-out")]
    TimedOut,
    /// A limit of this replica is reached.
    #[error("this server has too many {0}, try again")]
    Busy(&'static str),
    /// A limit on one address is reached.
    #[error("your address has too many {0}")]
    Crowded(&'static str),
    /// Redis and the object store don't answer.
    #[error("the servers behind do not answer, try again")]
    Behind,
}

impl Problem {
    /// What it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Id(_)
            | Self::Name(_)
            | Self::NoStream(_)
            | Self::NoBroadcast(..)
            | Self::NoRendition(..)
            | Self::NoMedia(_)
            | Self::NoFile
            | Self::NoSegment(_) => StatusCode::NOT_FOUND,
            Self::Query(_) | Self::TooFarAhead(_) => StatusCode::BAD_REQUEST,
            Self::Denied(denied) if denied.asks_for_token() => StatusCode::UNAUTHORIZED,
            Self::PastCdn | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Crowded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut | Self::Busy(_) | Self::Behind => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What all who ask would be told now, wherever they ask, a cache may tell
    /// them for a moment.
    fn freshness(&self) -> Freshness {
        let status = self.status();
        let same = status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST;
        if same || matches!(self, Self::TimedOut) { Freshness::Fleeting } else { Freshness::Never }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let status = self.status();
        let mut response = (status, format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, self.freshness().header());
        if let Self::Denied(denied) = &self
            && status == StatusCode::UNAUTHORIZED
        {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(denied.challenge()));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
