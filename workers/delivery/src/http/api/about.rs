//! What there is to know of the server itself, and of whoever asks.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use millrace_platform::tokens::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Authenticated;
use super::auth::caller::Kind;
use super::problem::Refusals;
use super::state::Api;

/// Which version this is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Version {
    /// Of the program.
    version: &'static str,
    /// Of the API.
    api: &'static str,
}

/// The program's and the API's version
#[utoipa::path(get, path = "/version", tag = "server", security(()), responses(
    (status = 200, body = Version)))]
pub async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION"), api: "v1" })
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It does its work.
    Ok,
    /// Something that it can do without fails.
    Degraded,
    /// It can't do its work.
    Failed,
}

/// How this replica is.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthReport {
    status: Condition,
    /// Its parts.
    checks: BTreeMap<String, CheckReport>,
}

/// How one part is.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckReport {
    status: Condition,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    detail: Option<String>,
}

/// How this replica is
///
/// 503 where it can't do its work.
#[utoipa::path(get, path = "/health", tag = "server", security(()), responses(
    (status = 200, body = HealthReport), (status = 503, body = HealthReport)))]
pub async fn health(State(api): State<Api>) -> (StatusCode, Json<HealthReport>) {
    let mut worst = Condition::Ok;
    let checks = api.health.snapshot().into_iter().map(|(name, check)| {
        let status = match (check.ok, check.needed) {
            (true, _) => Condition::Ok,
            (false, false) => Condition::Degraded,
            (false, true) => Condition::Failed,
        };
        if worst != Condition::Failed && status != Condition::Ok {
            worst = status;
        }
        let detail = Some(check.detail).filter(|detail| !detail.is_empty());
        (name.to_owned(), CheckReport { status, detail })
    });
    let report = HealthReport { checks: checks.collect(), status: worst };
    let failed = report.status == Condition::Failed;
    (if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, Json(report))
}

/// Who the token is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Its name, as in the audit log.
    subject: String,
    /// `token`: one of Millrace. `kubernetes`: one of the cluster.
    kind: &'static str,
    /// What it may do; empty for Kubernetes, where RBAC says.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<&'static str>,
    /// On which streams: `*`, `<namespace>.*`, `<namespace>.<name>`; null for
    /// Kubernetes.
    streams: Option<Vec<String>>,
}

/// Who the token is, and what it may
#[utoipa::path(get, path = "/me", tag = "server", responses((status = 200, body = Me), Refusals))]
pub async fn me(Authenticated(caller): Authenticated) -> Json<Me> {
    let subject = caller.subject.to_string();
    Json(match caller.kind {
        Kind::Token { scopes, streams, .. } => Me {
            subject,
            kind: "token",
            scopes: scopes.into_iter().map(Scope::as_str).collect(),
            streams: Some(streams.to_texts()),
        },
        Kind::Kubernetes(_) => {
            Me { subject, kind: "kubernetes", scopes: Vec::new(), streams: None }
        }
    })
}
