//! Counts requests and sent bytes by route.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Body;

use crate::metrics::{Metrics, RequestLabels, RouteLabels};

/// The middleware. Routes are counted by their pattern: URLs are strangers'.
pub async fn requests(
    State(metrics): State<Metrics>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let route = path.map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    metrics.requests.get_or_create(&RequestLabels { route: route.clone(), status }).inc();
    if let Some(bytes) = response.body().size_hint().exact() {
        metrics.bytes.get_or_create(&RouteLabels { route }).inc_by(bytes);
    }
    response
}
