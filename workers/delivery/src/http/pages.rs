//! The landing page, the player's pages, the administrators' dashboard, and the
//! files they load.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use millrace_media::id::StreamId;
use tower_http::compression::CompressionLayer;

use super::freshness::Freshness;
use super::problem::Problem;
use super::respond::{Coding, Content};
use crate::assets::Asset;

/// A page loads from its own host only; `blob:` is the media source's URL.
macro_rules! policy {
    ($more:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             media-src 'self' blob:; worker-src 'self' blob:; img-src 'self' data:; \
             base-uri 'none'; form-action 'self'",
            $more
        )
    };
}

/// In no frame of other hosts.
const POLICY: &str = policy!("; frame-ancestors 'self'");
/// In everybody's: there is nothing in it to be tricked into.
const EMBED_POLICY: &str = policy!("");

/// In nobody's, and it loads and asks nothing elsewhere.
const DASHBOARD_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Routes of the viewers' pages; compressed, since nothing else is as large as the
/// player's script.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async |headers: HeaderMap| page("index.html", POLICY, &headers)))
        .route("/watch/{stream_id}", get(watch))
        .route("/embed/{stream_id}", get(embed))
        .route("/assets/{name}", get(asset))
        .layer(CompressionLayer::new())
}

/// Routes of the administrators' page. It is for everybody to load: what it
/// shows it asks the API, with a token.
pub fn dashboard_router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/dashboard", get(dashboard))
        .route("/dashboard/{*view}", get(dashboard))
        .route("/assets/{name}", get(asset))
        .layer(CompressionLayer::new())
}

async fn dashboard(headers: HeaderMap) -> Response<Body> {
    page("dashboard.html", DASHBOARD_POLICY, &headers)
}

async fn watch(Path(stream): Path<String>, headers: HeaderMap) -> Result<Response<Body>, Problem> {
    let _: StreamId = stream.parse()?;
    Ok(page("watch.html", POLICY, &headers))
}

async fn embed(Path(stream): Path<String>, headers: HeaderMap) -> Result<Response<Body>, Problem> {
    let _: StreamId = stream.parse()?;
    Ok(page("embed.html", EMBED_POLICY, &headers))
}

fn page(name: &str, policy: &'static str, request: &HeaderMap) -> Response<Body> {
    let mut response = file(name, request, Freshness::Page);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    set(CONTENT_SECURITY_POLICY, policy);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    response
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    // Their names carry the hash of their content.
    file(&format!("assets/{name}"), &headers, Freshness::Immutable)
}

fn file(name: &str, request: &HeaderMap, cache: Freshness) -> Response<Body> {
    let Some(asset) = Asset::find(name) else {
        return Problem::NoFile.into_response();
    };
    let content = Content {
        bytes: Bytes::from_static(asset.bytes),
        content_type: asset.content_type(),
        // The same for what is packed on its way, so it is weak.
        etag: format!("W/{}", asset.etag()),
        cache,
        coding: Coding::Sole,
    };
    content.respond(request)
}
