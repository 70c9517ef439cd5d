//! The viewers' listener: playlists, manifests, media, the player page, its
//! beacon, the WebSocket.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::routing::{any, get, post, put};
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::freshness::Freshness;
use super::state::Shared;
use super::{beacon, cdn, count, dash, media, pages, playlists, socket, visits};

/// A beacon's body must be here within this time.
const BEACON: Duration = Duration::from_secs(5);
/// Browsers ask again whether they may after this long.
const PREFLIGHT: Duration = Duration::from_hours(24);

/// Everything an Ingress routes.
pub fn router(shared: Shared) -> Router {
    let open = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([RANGE, CONTENT_TYPE, AUTHORIZATION])
        .expose_headers([ETAG, CONTENT_LENGTH, CONTENT_RANGE])
        // The same for every origin: a cache need not tell them apart.
        .vary([])
        .max_age(PREFLIGHT);
    let for_cdn = middleware::from_fn_with_state(shared.clone(), cdn::media);
    let for_all = middleware::from_fn_with_state(shared.clone(), cdn::other);
    let media = Router::new()
        .route("/hls/{stream_id}/index.m3u8", get(playlists::multivariant))
        .route("/hls/{stream_id}/{broadcast}/{rendition}/media.m3u8", get(playlists::media))
        .route("/hls/{stream_id}/{broadcast}/{rendition}/{name}", get(media::get))
        .route("/dash/{stream_id}/manifest.mpd", get(dash::current))
        .route("/dash/{stream_id}/time", get(dash::time))
        .route("/dash/{stream_id}/{name}", get(dash::of_broadcast))
        .layer(for_cdn)
        .layer(open.clone());
    let beacons = Router::new()
        .route("/hls/{stream_id}/beacon", post(beacon::take))
        .route("/api/v1/streams/{stream_id}/sessions", post(visits::join))
        .route(
            "/api/v1/streams/{stream_id}/sessions/{session}",
            put(visits::keep).delete(visits::leave),
        )
        .layer((
            TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, BEACON),
            DefaultBodyLimit::max(beacon::MAX_BODY),
        ))
        .layer(for_all.clone())
        .layer(open);
    // By HTTP/2 it is a CONNECT. Pages of any origin may open it.
    let sockets = Router::new()
        .route("/ws/stream/{stream_id}", any(socket::open))
        .merge(pages::router())
        .layer(for_all);
    // Caches guess where they are told nothing.
    let never = SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, Freshness::Never.header());
    media
        .merge(beacons)
        .merge(sockets)
        .layer(never)
        .layer(middleware::from_fn_with_state(shared.clone(), count::requests))
        .with_state(shared)
}
