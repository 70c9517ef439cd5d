//! The newest events of a stream.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::on::{On, Read};
use super::problem::{ApiProblem, Refusals};
use super::request::{Paging, Query};
use super::state::Api;

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HowMany {
    /// Most events: 1 to 200, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Events.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    /// CloudEvents in JSON, the newest first: see docs/events.
    items: Vec<serde_json::Value>,
}

/// The newest events of a stream
///
/// Of the last 5,000 of each partition that all streams share: to follow
/// events, read the topic.
#[utoipa::path(get, path = "/streams/{stream_id}/events", operation_id = "events_newest", tag = "streams",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"), HowMany), responses(
    (status = 200, body = EventList), Refusals))]
pub async fn newest(
    State(api): State<Api>,
    on: On<Read>,
    Query(many): Query<HowMany>,
) -> Result<Json<EventList>, ApiProblem> {
    let limit = usize::try_from(Paging::new(many.limit, None).limit()?).unwrap_or(usize::MAX);
    let missing = || ApiProblem::unavailable("there are no events: KAFKA_BROKERS is not set");
    let items = api.events.as_ref().ok_or_else(missing)?.of(&on.stream, limit).await?;
    Ok(Json(EventList { items }))
}
