//! What requests bring: queries, pages and bodies, refused with a problem where
//! they are wrong.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use millrace_platform::postgres::page::{Cursor, Page, PageRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};

use super::problem::ApiProblem;

/// Most things on a page.
pub const MOST: u32 = 200;
/// A body must be here within this time.
const BODY: Duration = Duration::from_secs(5);

/// Which page of a list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Most things on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(max_length = 512)]
    after: Option<String>,
}

impl Paging {
    /// As a query with other fields says it.
    pub fn new(limit: Option<u32>, after: Option<String>) -> Self {
        Self { limit, after }
    }

    /// How many are wanted.
    pub fn limit(&self) -> Result<u32, ApiProblem> {
        match self.limit.unwrap_or(50) {
            limit @ 1..=MOST => Ok(limit),
            _ => Err(ApiProblem::field("limit", format!("expected 1 to {MOST}"))),
        }
    }

    /// Where the page before ended.
    pub fn after<T: FromStr<Err: Display>>(&self) -> Result<Option<T>, ApiProblem> {
        let parse = |text: &String| text.parse();
        let after = self.after.as_ref().map(parse).transpose();
        after.map_err(|error: T::Err| ApiProblem::field("after", error.to_string()))
    }

    /// For a table.
    pub fn request<I: FromStr + Display>(&self) -> Result<PageRequest<I>, ApiProblem>
    where
        Cursor<I>: FromStr<Err: Display>,
    {
        Ok(PageRequest { limit: self.limit()?, after: self.after()? })
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Listing<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `after` of the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// All there is, on one page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page of a table.
    pub fn of<R, I: Display>(page: Page<R, I>, item: impl Fn(R) -> T) -> Self {
        let next = page.next.map(|cursor| cursor.to_string());
        Self { items: page.items.into_iter().map(item).collect(), next }
    }
}

/// What the path names; what is no text names nothing.
#[derive(Debug)]
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|e| ApiProblem::not_found(e.body_text()))
    }
}

/// The query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiProblem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|rejection| {
            // What serde says, with the field in front.
            let said = std::error::Error::source(&rejection).map(ToString::to_string);
            let said = said.unwrap_or_else(|| "not a query".to_owned());
            said.split_once(": ").map_or_else(
                || ApiProblem::new(StatusCode::BAD_REQUEST, said.as_str()),
                |(field, detail)| ApiProblem::field(field, detail),
            )
        })
    }
}

/// The body, JSON.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiProblem> {
        let body = Json::<T>::from_request(request, state);
        match tokio::time::timeout(BODY, body).await {
            Ok(Ok(Json(body))) => Ok(Self(body)),
            Ok(Err(rejection)) => Err(refused(&rejection)),
            Err(_) => Err(ApiProblem::new(StatusCode::REQUEST_TIMEOUT, "the body does not come")),
        }
    }
}

fn refused(rejection: &JsonRejection) -> ApiProblem {
    let status = match rejection {
        // One way to say that the body is no good is enough.
        JsonRejection::JsonDataError(_) => StatusCode::BAD_REQUEST,
        other => other.status(),
    };
    ApiProblem::new(status, rejection.body_text())
}
