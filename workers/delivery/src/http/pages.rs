//! The landing page, the player page and the files they load.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use millrace_media::id::StreamId;
use tower_http::compression::CompressionLayer;

use super::respond::{Coding, Content, IMMUTABLE};
use crate::assets::Asset;

/// A page loads from its own host only; `blob:` is the media source's URL.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; img-src 'self' data:; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// Routes of the pages; compressed, since nothing else is as large as the
/// player's script.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async |headers: HeaderMap| page("index.html", &headers)))
        .route("/watch/{stream_id}", get(watch))
        .route("/assets/{name}", get(asset))
        .layer(CompressionLayer::new())
}

async fn watch(Path(stream): Path<String>, headers: HeaderMap) -> Response<Body> {
    match stream.parse::<StreamId>() {
        Ok(_) => page("watch.html", &headers),
        Err(error) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    }
}

fn page(name: &str, request: &HeaderMap) -> Response<Body> {
    let mut response = file(name, request, "no-cache");
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    response
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    // Their names carry the hash of their content.
    file(&format!("assets/{name}"), &headers, IMMUTABLE)
}

fn file(name: &str, request: &HeaderMap, cache: &'static str) -> Response<Body> {
    let Some(asset) = Asset::find(name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let content = Content {
        bytes: Bytes::from_static(asset.bytes),
        content_type: asset.content_type(),
        etag: asset.etag(),
        cache,
        coding: Coding::Sole,
    };
    content.respond(request)
}
