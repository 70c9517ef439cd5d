//! Broadcasts of a stream.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use millrace_media::id::{BroadcastId, StreamId};
use millrace_platform::postgres::broadcasts::{Broadcast, BroadcastFilter};
use millrace_platform::report::report;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::audit;
use super::auth::on::{EndBroadcast, On, Read};
use super::problem::{ApiProblem, ProblemDetails, Refusals};
use super::request::{Listing, Paging, Query, Segments};
use super::state::Api;
use super::time::Time;

/// A broadcast: from the first accepted publish to its end.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastItem {
    #[schema(value_type = uuid::Uuid)]
    id: BroadcastId,
    /// `PENDING_INGEST`, `ACTIVE`, `ENDED` or `ERROR`.
    #[schema(value_type = String)]
    status: &'static str,
    /// How often a publisher connected.
    epoch: u64,
    /// The public half of the key it was begun with.
    key_id: String,
    started_at: Time,
    ended_at: Option<Time>,
    end_reason: Option<String>,
}

impl From<Broadcast> for BroadcastItem {
    fn from(broadcast: Broadcast) -> Self {
        Self {
            id: broadcast.opened.broadcast,
            status: broadcast.status.as_str(),
            epoch: broadcast.opened.epoch.0,
            key_id: broadcast.opened.key_id.to_string(),
            started_at: Time(broadcast.opened.started_ms),
            ended_at: broadcast.ended_ms.map(Time),
            end_reason: broadcast.end_reason,
        }
    }
}

/// The broadcasts of a stream, the newest first
#[utoipa::path(get, path = "/streams/{stream_id}/broadcasts", operation_id = "broadcasts_list", tag = "broadcasts",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"), Paging), responses(
    (status = 200, body = Listing<BroadcastItem>), Refusals))]
pub async fn list(
    State(api): State<Api>,
    on: On<Read>,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<BroadcastItem>>, ApiProblem> {
    let filter = BroadcastFilter { stream: Some(on.stream), ..BroadcastFilter::default() };
    let page = api.record()?.broadcasts.list(&filter, paging.request()?).await?;
    Ok(Json(Listing::of(page, BroadcastItem::from)))
}

/// One broadcast
#[utoipa::path(get, path = "/streams/{stream_id}/broadcasts/{broadcast}", operation_id = "broadcasts_one", tag = "broadcasts",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"),
        ("broadcast" = uuid::Uuid, Path)), responses(
    (status = 200, body = BroadcastItem), Refusals))]
pub async fn one(
    State(api): State<Api>,
    on: On<Read>,
    Segments((_, broadcast)): Segments<(String, String)>,
) -> Result<Json<BroadcastItem>, ApiProblem> {
    find(&api, &on.stream, &broadcast).await.map(|found| Json(found.into()))
}

/// End a broadcast
///
/// By the log, also while Postgres is away: its viewers see the end, and its
/// publisher is cut off within some seconds. One that connects again begins
/// another broadcast: revoke its key to keep it away.
#[utoipa::path(post, path = "/streams/{stream_id}/broadcasts/{broadcast}/end", operation_id = "broadcasts_end", tag = "broadcasts",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"),
        ("broadcast" = uuid::Uuid, Path)), responses(
    (status = 202, description = "It ends"),
    (status = 409, description = "It is over", body = ProblemDetails,
        content_type = "application/problem+json"), Refusals))]
pub async fn end(
    State(api): State<Api>,
    on: On<EndBroadcast>,
    Segments((_, broadcast)): Segments<(String, String)>,
) -> Result<StatusCode, ApiProblem> {
    let id: BroadcastId = broadcast.parse()?;
    // The record only says sooner what the log says: it may be away.
    let over = match find(&api, &on.stream, &broadcast).await {
        Ok(found) => found.ended_ms.is_some(),
        Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => false,
        Err(problem) => return Err(problem),
    };
    let ended = if over { Ok(false) } else { api.endings()?.end(&on.stream, id).await };
    let done = match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err(ApiProblem::new(StatusCode::CONFLICT, format!("broadcast {id} is over"))),
        Err(error) => {
            tracing::warn!(error = report(&error), "a broadcast can't be ended");
            let detail = "Kafka does not answer: it is not known whether it was ended";
            Err(ApiProblem::unavailable(detail))
        }
    };
    audit::wrote(&on.caller, "end", &format!("broadcast {id} of {}", on.stream), &done);
    done.map(|()| StatusCode::ACCEPTED)
}

/// A broadcast of this stream.
pub(super) async fn find(
    api: &Api,
    stream: &StreamId,
    broadcast: &str,
) -> Result<Broadcast, ApiProblem> {
    let id: BroadcastId = broadcast.parse()?;
    let found = api.record()?.broadcasts.find(id).await?;
    let found = found.filter(|broadcast| broadcast.opened.stream == *stream);
    found.ok_or_else(|| ApiProblem::not_found(format!("stream {stream} has no broadcast {id}")))
}
