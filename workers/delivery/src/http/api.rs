//! The administrators' API, version 1: docs/api.md.
//!
//! A request passes the gate ([`auth`]), is read ([`request`]) and answered
//! from what the viewers' side knows, from the record or from what only the API
//! may touch ([`state`]); what goes wrong becomes a problem ([`problem`]). The
//! document of all routes is made from the handlers themselves ([`document`]).

pub mod about;
pub mod auth;
pub mod broadcasts;
pub mod document;
pub mod events;
pub mod keys;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod qualities;
pub mod request;
pub mod sessions;
pub mod state;
pub mod streams;
pub mod time;
pub mod tokens;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::routing::{any, get};
use bytes::Bytes;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use document::{Document, written};
use state::Api;

use super::pages;

/// Longest body taken, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// All routes, with their document.
fn routes() -> OpenApiRouter<Api> {
    let v1 = OpenApiRouter::new()
        .routes(routes!(about::version))
        .routes(routes!(about::health))
        .routes(routes!(about::me))
        .routes(routes!(qualities::list))
        .routes(routes!(streams::list))
        .routes(routes!(streams::status))
        .routes(routes!(streams::qualities))
        .routes(routes!(broadcasts::list))
        .routes(routes!(broadcasts::one))
        .routes(routes!(broadcasts::end))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(sessions::list))
        .routes(routes!(metrics::now))
        .routes(routes!(metrics::range))
        .routes(routes!(events::newest));
    OpenApiRouter::with_openapi(<Document as utoipa::OpenApi>::openapi()).nest("/api/v1", v1)
}

/// The API of this replica.
pub fn router(api: Api) -> Router {
    let (routes, document) = routes().split_for_parts();
    let json = Bytes::from(written(&document));
    let no_store = HeaderValue::from_static("no-store");
    let nosniff = HeaderValue::from_static("nosniff");
    routes
        .route(
            "/api/v1/openapi.json",
            get(async move || ([(CONTENT_TYPE, "application/json")], json)),
        )
        .route("/api/v1", any(problem::no_such_path))
        .route("/api/v1/", any(problem::no_such_path))
        .route("/api/v1/{*path}", any(problem::no_such_path))
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, no_store))
        .layer(SetResponseHeaderLayer::if_not_present(X_CONTENT_TYPE_OPTIONS, nosniff))
        .merge(page::router(&document))
        .merge(pages::dashboard_router())
        .with_state(api)
}
