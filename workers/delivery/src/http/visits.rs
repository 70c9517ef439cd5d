//! Viewers' sessions for players that are not ours: joined, kept and left by
//! REST. The same signs as the beacon's, by the same rules.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use serde::Serialize;
use uuid::Uuid;

use super::asker::Asker;
use super::beacon::{Figures, Happened, note, viewer};
use super::problem::Problem;
use super::state::Shared;
use super::ticket::Ticket;

/// A session that has begun.
#[derive(Debug, Serialize)]
pub struct Joined {
    /// Its name: a path element of what follows.
    session: String,
}

type Made = (StatusCode, [(HeaderName, &'static str); 1], Json<Joined>);

/// `POST /api/v1/streams/{stream_id}/sessions`: 201.
pub async fn join(
    State(shared): State<Shared>,
    Path(stream): Path<String>,
    asker: Asker,
    ticket: Ticket,
    body: Bytes,
) -> Result<Made, Problem> {
    let session = Uuid::new_v4().simple().to_string();
    tell(&shared, (&stream, &session), Happened::Join, (&asker, &ticket), &body).await?;
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(Joined { session })))
}

/// `PUT /api/v1/streams/{stream_id}/sessions/{session}`: 204. One that was
/// given up begins again.
pub async fn keep(
    State(shared): State<Shared>,
    Path((stream, session)): Path<(String, String)>,
    asker: Asker,
    ticket: Ticket,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    tell(&shared, (&stream, &session), Happened::Heartbeat, (&asker, &ticket), &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/v1/streams/{stream_id}/sessions/{session}`: 204.
pub async fn leave(
    State(shared): State<Shared>,
    Path((stream, session)): Path<(String, String)>,
    asker: Asker,
    ticket: Ticket,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    tell(&shared, (&stream, &session), Happened::Leave, (&asker, &ticket), &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tell(
    shared: &Shared,
    (stream, session): (&str, &str),
    happened: Happened,
    who: (&Asker, &Ticket),
    body: &[u8],
) -> Result<(), Problem> {
    let told = (viewer(session)?, happened, figures(body)?);
    note(shared, &stream.parse()?, told, who).await
}

/// Nothing is no figures.
fn figures(body: &[u8]) -> Result<Figures, Problem> {
    if body.is_empty() {
        return Ok(Figures::default());
    }
    serde_json::from_slice(body).map_err(|error| Problem::Query(format!("not figures: {error}")))
}
