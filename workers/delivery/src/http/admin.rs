//! The administrators' listener: status, metrics, health. On no Ingress.

use axum::Router;
use axum::routing::get;

use super::state::Shared;
use super::streams;

/// Everything administrators ask; `health` brings its own routes.
pub fn router(shared: Shared, health: Router) -> Router {
    Router::new()
        .route("/api/v1/streams", get(streams::list))
        .route("/api/v1/streams/{stream_id}", get(streams::status))
        .with_state(shared)
        .merge(health)
}
