//! Bodies that are wholly in memory, answered with validators and ranges.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;

use super::freshness::Freshness;
use super::range::{Asked, asked};

/// A body and what a cache must know about it.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: Bytes,
    /// Media type.
    pub content_type: &'static str,
    /// Entity tag with its quotes.
    pub etag: String,
    /// How long caches may keep it.
    pub cache: Freshness,
    /// What the bytes are in.
    pub coding: Coding,
}

/// What a body's bytes are in (RFC 9110 §8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As they are, for everybody.
    Sole,
    /// As they are, for those who don't take gzip.
    Identity,
    /// Packed.
    Gzip,
}

impl Coding {
    /// What the request takes of a body that can be had in both. Pieces are of
    /// the body as it is.
    pub fn of(request: &HeaderMap) -> Self {
        let takes = text(request, &ACCEPT_ENCODING).is_some_and(takes_gzip);
        if takes && !request.contains_key(RANGE) { Self::Gzip } else { Self::Identity }
    }
}

/// Whether a list of codings has gzip with a weight above 0 (RFC 9110 §12.5.3).
fn takes_gzip(list: &str) -> bool {
    list.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight, Some(Ok(q)) if q <= 0.0)
    })
}

impl Content {
    /// The response to a request with these headers: 200, 206, 304 or 416
    /// (RFC 9110 §13.2.2: a matching `If-None-Match` goes before `Range`).
    pub fn respond(self, request: &HeaderMap) -> Response<Body> {
        if text(request, &IF_NONE_MATCH).is_some_and(|tags| matches(tags, &self.etag)) {
            return self.finish(StatusCode::NOT_MODIFIED, Body::empty(), None);
        }
        let length = self.bytes.len();
        // Strong comparison (RFC 9110 §13.1.5): a weak tag vouches for no piece.
        let strong = !self.etag.starts_with(WEAK);
        let same = text(request, &IF_RANGE).is_none_or(|tag| strong && tag == self.etag);
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
        // An error about a range is nobody else's: caches know URLs, not ranges.
        let fails = status == StatusCode::RANGE_NOT_SATISFIABLE;
        let cache = if fails { Freshness::Never } else { self.cache };
        headers.insert(CACHE_CONTROL, cache.header());
        if self.coding != Coding::Sole {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if self.coding == Coding::Gzip && status != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
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

/// Begins a weak tag (RFC 9110 §8.8.1).
const WEAK: &str = "W/";

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A tag without what says that it is weak.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix(WEAK).unwrap_or(tag)
}

/// Weak comparison of a list of tags (RFC 9110 §13.1.2).
fn matches(tags: &str, etag: &str) -> bool {
    let own = opaque(etag);
    tags.split(',').map(str::trim).any(|tag| tag == "*" || opaque(tag) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(name: HeaderName, value: &'static str) -> Response<Body> {
        let content = Content {
            bytes: Bytes::from_static(b"0123456789"),
            content_type: "video/mp4",
            etag: "\"a\"".to_owned(),
            cache: Freshness::Immutable,
            coding: Coding::Sole,
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
    fn gzip_is_for_those_who_take_it_and_ask_for_the_whole() {
        for (list, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=1.0, identity", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("deflate, x-gzip", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(list), takes, "{list}");
        }
        let header = |name, value| (name, HeaderValue::from_static(value));
        let mut request = HeaderMap::from_iter([header(ACCEPT_ENCODING, "gzip")]);
        assert_eq!(Coding::of(&request), Coding::Gzip);
        request.extend([header(RANGE, "bytes=0-1")]);
        assert_eq!(Coding::of(&request), Coding::Identity);
    }

    #[test]
    fn a_range_is_answered_with_its_place() {
        let partial = respond(RANGE, "bytes=2-3");
        assert_eq!(partial.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(partial.headers()[CONTENT_RANGE], "bytes 2-3/10");
        let beyond = respond(RANGE, "bytes=10-");
        assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(beyond.headers()[CONTENT_RANGE], "bytes */10");
        assert_eq!(beyond.headers()[CACHE_CONTROL], "no-store");
    }
}
