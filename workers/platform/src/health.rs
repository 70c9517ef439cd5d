//! `/health/live`, `/health/ready` and `/metrics`.
//!
//! Live: the process runs its loop. Ready: every named check is fine. Checks
//! are flags that the parts of a process set; a request asks no server. Each is
//! a gauge too, `millrace_check_failing{check}`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;
use crate::wall;

/// How one part of the process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// It does its work.
    pub ok: bool,
    /// Not ready without it; otherwise it only shows in the detail.
    pub needed: bool,
    /// In a few words, for a person.
    pub detail: String,
    /// Since when it is so, unix s.
    pub since: i64,
}

/// The named checks of a process.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<BTreeMap<&'static str, Status>>>,
    failing: Family<CheckLabel, Gauge>,
}

/// Label of a check's gauge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

/// One check, held by the part it describes.
#[derive(Debug, Clone)]
pub struct Check {
    health: Health,
    name: &'static str,
}

impl Health {
    /// Adds a check the process is not ready without; it starts as not fine.
    pub fn needed(&self, name: &'static str) -> Check {
        self.add(name, true)
    }

    /// Adds a check that only shows, for parts the process can do without.
    pub fn informative(&self, name: &'static str) -> Check {
        self.add(name, false)
    }

    fn add(&self, name: &'static str, needed: bool) -> Check {
        let status = Status { ok: false, needed, detail: "starting".to_owned(), since: now() };
        self.checks.write().unwrap_or_else(PoisonError::into_inner).insert(name, status);
        self.show(name, false);
        Check { health: self.clone(), name }
    }

    fn show(&self, check: &'static str, ok: bool) {
        self.failing.get_or_create(&CheckLabel { check }).set(i64::from(!ok));
    }

    /// Every needed check is fine.
    pub fn is_ready(&self) -> bool {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        checks.values().all(|status| status.ok || !status.needed)
    }

    fn report(&self) -> Report {
        let checks = self.snapshot();
        let degraded = checks.iter().filter(|(_, s)| !s.ok).map(|(name, _)| *name).collect();
        Report { ready: self.is_ready(), degraded, checks }
    }

    /// Whether this check says that something does not work.
    pub fn fails(&self, name: &str) -> bool {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        checks.get(name).is_some_and(|status| !status.ok)
    }

    /// All checks.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Status> {
        self.checks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Check {
    /// It works.
    pub fn ok(&self) {
        self.set(true, "");
    }

    /// It doesn't; say why in a few words, without secrets.
    pub fn failing(&self, detail: impl Into<String>) {
        self.set(false, detail);
    }

    fn set(&self, ok: bool, detail: impl Into<String>) {
        let mut checks = self.health.checks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = checks.get_mut(self.name) {
            let detail = detail.into();
            if status.ok != ok {
                tracing::info!(check = self.name, ok, detail, "health changed");
                status.since = now();
            }
            status.ok = ok;
            status.detail = detail;
            self.health.show(self.name, ok);
        }
    }
}

fn now() -> i64 {
    wall::ms().div_euclid(1_000)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    ready: bool,
    /// Checks that are not fine.
    degraded: Vec<&'static str>,
    checks: BTreeMap<&'static str, Status>,
}

/// The three routes, to serve alone or merged into another router.
pub fn router(health: Health, metrics: Metrics) -> Router {
    let (help, failing) = ("1 while a check of /health/ready is not fine", health.failing.clone());
    metrics.with(|registry| registry.register("check_failing", help, failing));
    Router::new()
        .route("/health/live", get(|| async { "ok\n" }))
        .route("/health/ready", get(ready))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(render)).with_state(metrics))
}

async fn ready(State(health): State<Health>) -> Response {
    let report = health.report();
    let code = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(report)).into_response()
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.render())
}

/// A listener that can't be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} for health and metrics")]
pub struct ListenError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// Listens; an own step, so that a taken port stops the process at start.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { address, source })
}

/// Serves the three routes until `stop`.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(health, metrics))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_needed_checks_decide_readiness() {
        let health = Health::default();
        let kafka = health.needed("kafka");
        let redis = health.informative("redis");
        assert!(!health.is_ready());
        kafka.ok();
        assert!(health.is_ready());
        redis.failing("connection refused");
        assert!(health.is_ready());
        kafka.failing("no broker");
        assert!(!health.is_ready());
        assert_eq!(health.snapshot()["redis"].detail, "connection refused");
        assert_eq!(health.report().degraded, ["kafka", "redis"]);
        let failing = |check| health.failing.get_or_create(&CheckLabel { check }).get();
        assert_eq!((failing("kafka"), failing("redis")), (1, 1));
        redis.ok();
        assert_eq!((failing("kafka"), failing("redis")), (1, 0));
    }
}
