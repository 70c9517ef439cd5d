//! Why the API does not do what it was asked: problem details (RFC 9457).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use millrace_media::id::InvalidId;
use millrace_platform::kafka::KafkaError;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::report::report;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::http::problem::Problem as ViewersProblem;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Its name.
    pub field: String,
    /// What is wrong.
    pub detail: String,
}

/// Why a request was not done (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, for people.
    detail: String,
    /// Which fields of the request are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem>,
}

/// A request that is answered with an error.
#[derive(Debug)]
pub struct ApiProblem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldProblem>,
    retry_after: Option<u32>,
}

impl ApiProblem {
    /// Any.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// A field of the request is wrong.
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let shown = format!("{field}: {detail}");
        let errors = vec![FieldProblem { field: field.to_owned(), detail }];
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, shown) }
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A server behind does not answer, or a setting is missing.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Too many requests; the next is taken in so many seconds.
    pub fn too_many(detail: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// What it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// What every route may answer besides.
#[derive(IntoResponses)]
pub enum Refusals {
    /// The request is not one.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemDetails),
    /// No token, or none that is good.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDetails),
    /// The token may not.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDetails),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDetails),
    /// More than this token's share; `Retry-After` says how long to wait.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(ProblemDetails),
    /// A server behind does not answer, or is not set up.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemDetails),
}

/// What routes that take a body may answer besides.
#[derive(IntoResponses)]
pub enum BodyRefusals {
    /// The body does not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TimedOut(ProblemDetails),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(ProblemDetails),
    /// The body is not said to be JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(ProblemDetails),
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response<Body> {
        let body = ProblemDetails {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"millrace\"");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<InvalidId> for ApiProblem {
    fn from(error: InvalidId) -> Self {
        Self::not_found(error.to_string())
    }
}

impl From<ViewersProblem> for ApiProblem {
    fn from(problem: ViewersProblem) -> Self {
        let again = Some(1).filter(|_| problem.status() == StatusCode::SERVICE_UNAVAILABLE);
        Self { retry_after: again, ..Self::new(problem.status(), problem.to_string()) }
    }
}

impl From<DatabaseError> for ApiProblem {
    fn from(error: DatabaseError) -> Self {
        match &error {
            DatabaseError::NotFound { what } => Self::not_found(format!("{what}: not found")),
            DatabaseError::LeftAlone { .. } => {
                tracing::debug!(error = report(&error), "the API does not ask Postgres");
                Self::unavailable("Postgres does not answer and is left alone for now, try again")
            }
            _ if error.is_transient() => {
                tracing::warn!(error = report(&error), "Postgres does not answer the API");
                Self::unavailable("Postgres does not answer, try again")
            }
            _ => {
                tracing::error!(error = report(&error), "Postgres refuses what the API asks");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Postgres refused: see the log")
            }
        }
    }
}

impl From<KafkaError> for ApiProblem {
    fn from(error: KafkaError) -> Self {
        tracing::warn!(error = report(&error), "the events can't be read");
        Self::unavailable("Kafka does not answer, try again")
    }
}

/// Answers for paths and methods there are not.
pub async fn no_such_path() -> ApiProblem {
    ApiProblem::not_found("there is no such path: /api/docs says which there are")
}

/// As [`no_such_path`].
pub async fn no_such_method() -> ApiProblem {
    ApiProblem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method: see /api/docs")
}
