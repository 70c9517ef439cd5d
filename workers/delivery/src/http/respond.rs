//! Bodies that are wholly in memory, answered with validators and ranges.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;

use super::range::{Asked, asked};

/// Caches may keep it for ever: its URL never gets other bytes.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A body and what a cache must know about it.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: Bytes,
    /// Media type.
    pub content_type: &'static str,
    /// Entity tag with its quotes.
    pub etag: String,
    /// `Cache-Control`.
    pub cache: &'static str,
}

impl Content {
    /// The response to a request with these headers: 200, 206, 304 or 416
    /// (RFC 9110 §13.2.2: a matching `If-None-Match` goes before `Range`).
    pub fn respond(self, request: &HeaderMap) -> Response<Body> {
        if text(request, &IF_NONE_MATCH).is_some_and(|tags| matches(tags, &self.etag)) {
            return self.finish(StatusCode::NOT_MODIFIED, Body::empty(), None);
        }
        let length = self.bytes.len();
        let same = text(request, &IF_RANGE).is_none_or(|tag| tag == self.etag);
        match asked(text(request, &RANGE).filter(|_| same), length) {
            Asked::Whole => {
                let body = Body::from(self.bytes.clone());
                self.finish(StatusCode::OK, body, None)
            }
            Asked::Bytes(range) => {
                let told = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let body = Body::from(self.bytes.slice(range));
                self.finish(StatusCode::PARTIAL_CONTENT, body, Some(told))
            }
            Asked::Unsatisfiable => {
                let told = format!("bytes */{length}");
                self.finish(StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), Some(told))
            }
        }
    }

    fn finish(self, status: StatusCode, body: Body, range: Option<String>) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Ok(etag) = HeaderValue::try_from(self.etag) {
            headers.insert(ETAG, etag);
        }
        if let Some(Ok(range)) = range.map(HeaderValue::try_from) {
            headers.insert(CONTENT_RANGE, range);
        }
        response
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Weak comparison of a list of tags (RFC 9110 §13.1.2).
fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(name: HeaderName, value: &'static str) -> Response<Body> {
        let content = Content {
            bytes: Bytes::from_static(b"0123456789"),
            content_type: "video/mp4",
            etag: "\"a\"".to_owned(),
            cache: IMMUTABLE,
        };
        content.respond(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn a_known_tag_is_not_sent_again() {
        for tags in ["\"a\"", "\"b\", W/\"a\"", "*"] {
            assert_eq!(respond(IF_NONE_MATCH, tags).status(), StatusCode::NOT_MODIFIED, "{tags}");
        }
        assert_eq!(respond(IF_NONE_MATCH, "\"b\"").status(), StatusCode::OK);
    }

    #[test]
    fn a_range_is_answered_with_its_place() {
        let partial = respond(RANGE, "bytes=2-3");
        assert_eq!(partial.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(partial.headers()[CONTENT_RANGE], "bytes 2-3/10");
        let beyond = respond(RANGE, "bytes=10-");
        assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(beyond.headers()[CONTENT_RANGE], "bytes */10");
    }
}
