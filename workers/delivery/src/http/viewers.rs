//! The viewers' listener: playlists, manifests, media, the player page, its
//! beacon, the WebSocket.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::routing::{any, get, post};
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};
use tower_http::timeout::TimeoutLayer;

use super::state::Shared;
use super::{beacon, count, dash, media, pages, playlists, socket};

/// A beacon's body must be here within this time.
const BEACON: Duration = Duration::from_secs(5);
/// Browsers ask again whether they may after this long.
const PREFLIGHT: Duration = Duration::from_hours(24);

/// Everything an Ingress routes.
pub fn router(shared: Shared) -> Router {
    let open = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([RANGE, CONTENT_TYPE])
        .expose_headers([ETAG, CONTENT_LENGTH, CONTENT_RANGE])
        .max_age(PREFLIGHT);
    let streams = Router::new()
        .route("/hls/{stream_id}/index.m3u8", get(playlists::multivariant))
        .route(
            "/hls/{stream_id}/beacon",
            post(beacon::take).layer((
                TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, BEACON),
                DefaultBodyLimit::max(beacon::MAX_BODY),
            )),
        )
        .route("/hls/{stream_id}/{broadcast}/{rendition}/media.m3u8", get(playlists::media))
        .route("/hls/{stream_id}/{broadcast}/{rendition}/{name}", get(media::get))
        .route("/dash/{stream_id}/manifest.mpd", get(dash::current))
        .route("/dash/{stream_id}/time", get(dash::time))
        .route("/dash/{stream_id}/{name}", get(dash::of_broadcast))
        .layer(open);
    // By HTTP/2 it is a CONNECT. Pages of any origin may open it.
    let sockets = Router::new().route("/ws/stream/{stream_id}", any(socket::open));
    streams
        .merge(sockets)
        .merge(pages::router())
        .layer(middleware::from_fn_with_state(shared.clone(), count::requests))
        .with_state(shared)
}
