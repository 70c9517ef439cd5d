//! Tokens of the API: listed, made, revoked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use millrace_platform::postgres::tokens::{MAX_TOKENS, NewToken, StoredToken};
use millrace_platform::tokens::{ApiToken, Scope, StreamPattern};
use millrace_platform::wall;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::caller::{Act, Kind, Target};
use super::auth::{Authenticated, Caller, audit};
use super::problem::{ApiProblem, BodyRefusals, Refusals};
use super::request::{Body, Listing, Paging, Query, Segments};
use super::state::Api;
use super::time::Time;

/// A token, without what it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenItem {
    id: Uuid,
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
    /// On which streams: `*`, `<namespace>.*`, `<namespace>.<name>`.
    streams: Vec<String>,
    /// Who made it.
    created_by: String,
    created_at: Time,
    /// Not accepted from then on.
    expires_at: Option<Time>,
    revoked_at: Option<Time>,
    /// Neither revoked nor expired.
    active: bool,
}

impl From<StoredToken> for TokenItem {
    fn from(stored: StoredToken) -> Self {
        Self {
            active: stored.is_good_at(wall::ms()),
            id: stored.id,
            name: stored.name,
            scopes: stored.scopes.into_iter().map(Scope::as_str).collect(),
            streams: stored.streams.to_texts(),
            created_by: stored.created_by,
            created_at: Time::of_micros(stored.created_us),
            expires_at: stored.expires_ms.map(Time),
            revoked_at: stored.revoked_ms.map(Time),
        }
    }
}

/// A token that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedToken {
    /// 1 to 63 printable characters.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// What it may do; no more than who makes it.
    #[schema(min_items = 1, max_items = 5)]
    scopes: Vec<String>,
    /// On which streams: `*`, `<namespace>.*`, `<namespace>.<name>`.
    #[schema(min_items = 1, max_items = 64)]
    streams: Vec<String>,
    /// Not accepted from then on; for ever if not given.
    expires_at: Option<Time>,
}

impl WantedToken {
    fn read(self, caller: &Caller) -> Result<NewToken, ApiProblem> {
        let wrong = |field: &'static str| {
            move |e: &dyn std::fmt::Display| ApiProblem::field(field, e.to_string())
        };
        let scopes = self.scopes.iter().map(|text| text.parse::<Scope>());
        let streams = self.streams.iter().map(|text| text.parse::<StreamPattern>());
        let token = NewToken {
            name: self.name.parse().map_err(|e| wrong("name")(&e))?,
            scopes: scopes.collect::<Result<_, _>>().map_err(|e| wrong("scopes")(&e))?,
            streams: streams.collect::<Result<_, _>>().map_err(|e| wrong("streams")(&e))?,
            created_by: caller.subject.chars().take(400).collect(),
            expires_ms: self.expires_at.map(|Time(ms)| ms),
        };
        if token.scopes.is_empty() {
            return Err(ApiProblem::field("scopes", "expected at least one"));
        }
        if !token.streams.fit() {
            return Err(ApiProblem::field("streams", "expected 1 to 64"));
        }
        if token.expires_ms.is_some_and(|expires| expires <= wall::ms()) {
            return Err(ApiProblem::field("expiresAt", "expected a time to come"));
        }
        if let Kind::Token { expires_ms: Some(own), .. } = caller.kind
            && token.expires_ms.is_none_or(|expires| expires > own)
        {
            return Err(ApiProblem::field("expiresAt", "a token can't make one that outlives it"));
        }
        Ok(token)
    }
}

/// A new token: the only time it is seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeToken {
    id: Uuid,
    /// The token itself.
    token: String,
}

/// The tokens, the newest first
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(Paging), operation_id = "tokens_list",
    responses((status = 200, body = Listing<TokenItem>), Refusals))]
pub async fn list(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<TokenItem>>, ApiProblem> {
    api.gate.check(&caller, Act::ManageTokens, Target::Everything).await?;
    let page = api.control()?.tokens.list(paging.request()?).await?;
    Ok(Json(Listing::of(page, TokenItem::from)))
}

/// Make a token
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = WantedToken,
    operation_id = "tokens_create", responses(
    (status = 201, body = MadeToken),
    (status = 409, description = "There are too many", body = super::problem::ProblemDetails,
        content_type = "application/problem+json"), BodyRefusals, Refusals))]
pub async fn create(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    Body(wanted): Body<WantedToken>,
) -> Result<(StatusCode, Json<MadeToken>), ApiProblem> {
    api.gate.check(&caller, Act::ManageTokens, Target::Everything).await?;
    let row = wanted.read(&caller)?;
    // Nobody gives what they don't have.
    for act in row.scopes.iter().flat_map(|scope| Act::all_of(*scope)) {
        api.gate.check(&caller, *act, Target::Everything).await?;
    }
    let token = ApiToken::generate(&mut rand::rng());
    let made = api.control()?.tokens.insert(&row, token.hash()).await;
    let done = made.map_err(ApiProblem::from).and_then(|id| {
        let detail = format!("there are {MAX_TOKENS} good tokens already; revoke one first");
        id.ok_or_else(|| ApiProblem::new(StatusCode::CONFLICT, detail))
    });
    audit::wrote(&caller, "create", &format!("token {}", row.name), &done);
    let id = done?;
    Ok((StatusCode::CREATED, Json(MadeToken { id, token: token.reveal().to_owned() })))
}

/// Revoke a token for good; again is harmless
#[utoipa::path(delete, path = "/tokens/{token}", tag = "tokens", operation_id = "tokens_revoke",
    params(("token" = Uuid, Path)), responses((status = 204), Refusals))]
pub async fn revoke(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    Segments(token): Segments<String>,
) -> Result<StatusCode, ApiProblem> {
    api.gate.check(&caller, Act::ManageTokens, Target::Everything).await?;
    let id: Uuid = token.parse().map_err(|_| ApiProblem::not_found("not the id of a token"))?;
    let done = api.control()?.tokens.revoke(id).await;
    audit::wrote(&caller, "revoke", &format!("token {id}"), &done);
    done?;
    if let Some(book) = &api.gate.book {
        book.forget().await;
    }
    Ok(StatusCode::NO_CONTENT)
}
