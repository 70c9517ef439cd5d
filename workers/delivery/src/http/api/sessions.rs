//! Who watches a stream, and who did.

use axum::Json;
use axum::extract::State;
use millrace_platform::postgres::sessions::{Session, SessionFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::on::{On, Read};
use super::problem::{ApiProblem, Refusals};
use super::request::{Listing, Paging, Query};
use super::state::Api;
use super::time::Time;

/// Which sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Those that still watch, or those that do not any more.
    watching: Option<bool>,
    /// Most things on the page: 1 to 200, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// One viewer's visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionItem {
    id: Uuid,
    /// A random name of the player, or a salted hash; never an address.
    viewer: String,
    /// Whence it is known: `beacon`, `cmcd` or `guess`.
    #[schema(value_type = String)]
    source: &'static str,
    joined_at: Time,
    last_seen_at: Time,
    left_at: Option<Time>,
    /// The rung it was last seen on.
    rendition: Option<String>,
    rung_changes: u32,
    watch_ms: u64,
    stalls: u32,
    dropped_frames: u64,
}

impl From<Session> for SessionItem {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            viewer: session.viewer,
            source: session.source.as_str(),
            joined_at: Time(session.joined_ms),
            last_seen_at: Time(session.seen_ms),
            left_at: session.left_ms.map(Time),
            rendition: session.rendition.map(|name| name.to_string()),
            rung_changes: session.rung_changes,
            watch_ms: session.watch_ms,
            stalls: session.stalls,
            dropped_frames: session.dropped_frames,
        }
    }
}

/// The viewers' sessions of a stream, the latest to join first
#[utoipa::path(get, path = "/streams/{stream_id}/sessions", operation_id = "sessions_list", tag = "streams",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"), Which), responses(
    (status = 200, body = Listing<SessionItem>), Refusals))]
pub async fn list(
    State(api): State<Api>,
    on: On<Read>,
    Query(which): Query<Which>,
) -> Result<Json<Listing<SessionItem>>, ApiProblem> {
    let Which { watching, limit, after } = which;
    let filter = SessionFilter { stream: Some(on.stream), watching, ..SessionFilter::default() };
    let paging = Paging::new(limit, after);
    let page = api.record()?.sessions.list(&filter, paging.request()?).await?;
    Ok(Json(Listing::of(page, SessionItem::from)))
}
