//! Counts requests and sent bytes: by route, and for who watches by stream and
//! rendition.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Body;
use millrace_media::id::{RenditionName, StreamId};

use super::state::Shared;
use crate::metrics::{RequestLabels, RouteLabels};

/// What a response carries; handlers put it among its extensions.
#[derive(Debug, Clone)]
pub struct Carries {
    /// The stream.
    pub stream: StreamId,
    /// Media or the playlist of this rendition.
    pub rendition: RenditionName,
}

/// The middleware. Routes are counted by their pattern: URLs are strangers'.
pub async fn requests(
    State(shared): State<Shared>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let route = path.map_or_else(|| "none".to_owned(), |p| p.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let metrics = &shared.metrics;
    metrics.requests.get_or_create(&RequestLabels { route: route.clone(), status }).inc();
    if let Some(bytes) = response.body().size_hint().exact() {
        metrics.bytes.get_or_create(&RouteLabels { route }).inc_by(bytes);
        if let Some(Carries { stream, rendition }) = response.extensions().get() {
            shared.audience.sent(stream, rendition, bytes);
        }
    }
    response
}
