//! Presets of rungs.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Authenticated;
use super::problem::{ApiProblem, Refusals};
use super::request::Listing;
use super::state::Api;

/// A preset of a rung.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preset {
    name: String,
    /// Pixels.
    height: u32,
    /// Video, kbit/s.
    bitrate_kbps: u32,
}

/// The presets of rungs, the smallest first
#[utoipa::path(get, path = "/qualities", operation_id = "qualities_list", tag = "server", responses(
    (status = 200, body = Listing<Preset>), Refusals))]
pub async fn list(
    State(api): State<Api>,
    Authenticated(_): Authenticated,
) -> Result<Json<Listing<Preset>>, ApiProblem> {
    let rungs = api.record()?.qualities.list().await?;
    let preset = |rung: millrace_media::ladder::Rung| Preset {
        name: rung.name.to_string(),
        height: rung.height,
        bitrate_kbps: rung.bitrate_kbps,
    };
    Ok(Json(Listing::whole(rungs.into_iter().map(preset).collect())))
}
