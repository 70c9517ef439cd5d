//! Publish keys of a stream: listed, made, rotated, revoked. A key itself is seen
//! when it is made, and never again.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use millrace_media::id::{KeyId, PublishKey};
use millrace_platform::keys::{ApiKey, KeyError, KeyName};
use millrace_platform::postgres::keys::{KeyFilter, StoredKey};
use millrace_platform::report::report;
use millrace_platform::wall;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::audit;
use super::auth::on::{On, ReadKeys, WriteKeys};
use super::problem::{ApiProblem, BodyRefusals, ProblemDetails, Refusals};
use super::request::{Body, Listing, Paging, Query, Segments};
use super::state::Api;
use super::time::Time;

/// A publish key, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyItem {
    /// The public half.
    #[schema(value_type = String)]
    id: KeyId,
    name: String,
    /// Who holds it.
    broadcaster: String,
    /// `spec`: of the LiveStream's spec. `api`: made here.
    #[schema(value_type = String)]
    source: &'static str,
    created_at: Time,
    /// Not accepted from then on.
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
    /// When a publisher last came with it.
    last_used_at: Option<Time>,
    /// Neither revoked nor expired.
    active: bool,
}

impl From<StoredKey> for KeyItem {
    fn from(stored: StoredKey) -> Self {
        let active = stored.is_valid_at(wall::ms());
        Self {
            id: stored.key.id,
            name: stored.key.name,
            broadcaster: stored.key.broadcaster,
            source: stored.key.source.as_str(),
            created_at: Time::of_micros(stored.created_us),
            expires_at: stored.key.expires_ms.map(Time),
            revoked_at: stored.revoked_ms.map(Time),
            last_used_at: stored.last_used_ms.map(Time),
            active,
        }
    }
}

/// A publish key that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedKey {
    /// 1 to 63 printable characters.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// Who holds it: as long as a name; `api` if not given.
    #[schema(min_length = 1, max_length = 63)]
    broadcaster: Option<String>,
    /// Not accepted from then on; for ever if not given.
    expires_at: Option<Time>,
}

/// How a key is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// For how long the old one stays good; 0 if not given.
    #[schema(minimum = 0, maximum = 2_592_000)]
    overlap_seconds: Option<u32>,
    /// From when on the new one is not accepted; for ever if not given.
    expires_at: Option<Time>,
}

/// A new publish key: the only time it is seen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeKey {
    /// The public half.
    #[schema(value_type = String)]
    id: KeyId,
    /// What the publisher is given.
    key: String,
    /// Not accepted from then on.
    expires_at: Option<Time>,
}

impl MadeKey {
    fn answer(key: &PublishKey, expires_at: Option<Time>) -> (StatusCode, Json<Self>) {
        let made = Self { id: key.id().clone(), key: key.reveal(), expires_at };
        (StatusCode::CREATED, Json(made))
    }
}

/// The publish keys of a stream, the newest first
#[utoipa::path(get, path = "/streams/{stream_id}/keys", tag = "keys",
    operation_id = "keys_list",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"), Paging), responses(
    (status = 200, body = Listing<KeyItem>), Refusals))]
pub async fn list(
    State(api): State<Api>,
    on: On<ReadKeys>,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<KeyItem>>, ApiProblem> {
    let filter = KeyFilter { stream: Some(on.stream), ..KeyFilter::default() };
    let page = api.control()?.keys.list(&filter, &paging.request()?).await?;
    Ok(Json(Listing::of(page, KeyItem::from)))
}

/// Make a publish key
///
/// Also for a stream that does not exist yet.
#[utoipa::path(post, path = "/streams/{stream_id}/keys", tag = "keys",
    operation_id = "keys_create",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`")),
    request_body = WantedKey, responses(
    (status = 201, body = MadeKey),
    (status = 409, description = "The stream has too many", body = ProblemDetails,
        content_type = "application/problem+json"), BodyRefusals, Refusals))]
pub async fn create(
    State(api): State<Api>,
    on: On<WriteKeys>,
    Body(wanted): Body<WantedKey>,
) -> Result<(StatusCode, Json<MadeKey>), ApiProblem> {
    let name = |field, text: &str| {
        text.parse::<KeyName>().map_err(|error| ApiProblem::field(field, error.to_string()))
    };
    let broadcaster = wanted.broadcaster.as_deref().unwrap_or("api");
    let key = ApiKey {
        stream: on.stream.clone(),
        name: name("name", &wanted.name)?,
        broadcaster: name("broadcaster", broadcaster)?.to_string(),
        expires_ms: wanted.expires_at.map(|Time(ms)| ms),
    };
    let done = api.control()?.keys.create(&key).await;
    audit::wrote(&on.caller, "create", &format!("key {} of {}", key.name, on.stream), &done);
    Ok(MadeKey::answer(&done?, wanted.expires_at))
}

/// Replace a publish key
///
/// By one of the same name and holder. A key of the LiveStream's spec is
/// rotated there.
#[utoipa::path(post, path = "/streams/{stream_id}/keys/{key}/rotate", tag = "keys",
    operation_id = "keys_rotate",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"),
        ("key" = String, Path, description = "Its id")),
    request_body = Rotation, responses(
    (status = 201, body = MadeKey),
    (status = 409, description = "It is of the spec, or no longer good", body = ProblemDetails,
        content_type = "application/problem+json"), BodyRefusals, Refusals))]
pub async fn rotate(
    State(api): State<Api>,
    on: On<WriteKeys>,
    Segments((_, key)): Segments<(String, String)>,
    Body(rotation): Body<Rotation>,
) -> Result<(StatusCode, Json<MadeKey>), ApiProblem> {
    let (id, stream): (KeyId, _) = (key.parse()?, &on.stream);
    let overlap = Duration::from_secs(rotation.overlap_seconds.unwrap_or(0).into());
    let expires_ms = rotation.expires_at.map(|Time(ms)| ms);
    let done = api.control()?.keys.rotate(stream, &id, overlap, expires_ms).await;
    audit::wrote(&on.caller, "rotate", &format!("key {id} of {stream}"), &done);
    Ok(MadeKey::answer(&done?, rotation.expires_at))
}

/// Revoke a publish key for good
///
/// Again is harmless. Who publishes with it is cut off. A key of the
/// LiveStream's spec is taken out of that.
#[utoipa::path(delete, path = "/streams/{stream_id}/keys/{key}", tag = "keys",
    operation_id = "keys_revoke",
    params(("stream_id" = String, Path, description = "`<namespace>.<name>`"),
        ("key" = String, Path, description = "Its id")), responses(
    (status = 204),
    (status = 409, description = "It is of the spec", body = ProblemDetails,
        content_type = "application/problem+json"), Refusals))]
pub async fn revoke(
    State(api): State<Api>,
    on: On<WriteKeys>,
    Segments((_, key)): Segments<(String, String)>,
) -> Result<StatusCode, ApiProblem> {
    let (id, stream): (KeyId, _) = (key.parse()?, &on.stream);
    let done = api.control()?.keys.revoke(stream, &id).await;
    audit::wrote(&on.caller, "revoke", &format!("key {id} of {stream}"), &done);
    done?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<KeyError> for ApiProblem {
    fn from(error: KeyError) -> Self {
        let said = error.to_string();
        match error {
            KeyError::NotFound { .. } => Self::not_found(said),
            KeyError::OfSpec { .. } | KeyError::Over { .. } | KeyError::TooMany { .. } => {
                Self::new(StatusCode::CONFLICT, said)
            }
            KeyError::Expired { .. } => Self::field("expiresAt", "expected a time to come"),
            KeyError::Overlap { .. } => Self::field("overlapSeconds", said),
            KeyError::Postgres(error) => error.into(),
            KeyError::Hash(_) | KeyError::Generate(_) => {
                tracing::error!(error = report(&error), "a publish key can't be made");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a key can't be made: see the log")
            }
        }
    }
}
