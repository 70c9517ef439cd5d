//! Why a request gets no answer: a status and one plain line.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use millrace_media::id::{BroadcastId, InvalidId, RenditionName, StreamId};
use millrace_media::published::{InvalidMediaName, MediaName};

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
    /// The query of a playlist is not one.
    #[error("{0}")]
    Query(String),
    /// More than what is to come next was asked for.
    #[error("segment {0} is too far ahead of the live edge")]
    TooFarAhead(u64),
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
    fn status(&self) -> StatusCode {
        match self {
            Self::Id(_)
            | Self::Name(_)
            | Self::NoStream(_)
            | Self::NoBroadcast(..)
            | Self::NoRendition(..)
            | Self::NoMedia(_) => StatusCode::NOT_FOUND,
            Self::Query(_) | Self::TooFarAhead(_) => StatusCode::BAD_REQUEST,
            Self::Crowded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut | Self::Busy(_) | Self::Behind => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let status = self.status();
        let mut response = (status, format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        // What is missing now may be there in a second.
        let cache = if status == StatusCode::NOT_FOUND { "public, max-age=1" } else { "no-store" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
