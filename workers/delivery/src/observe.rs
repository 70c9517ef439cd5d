//! The task that looks at this replica from outside its requests: do Redis and
//! the object store answer, how far behind is the live edge.

use millrace_platform::report::report;
use std::collections::BTreeSet;
use std::time::Duration;

use millrace_platform::health::{Check, Health};
use tokio_util::sync::CancellationToken;

use crate::http::state::Shared;
use crate::http::streams::edge_latency;
use crate::metrics::StreamLabels;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);
/// A server that takes longer counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at Redis, the object store and the followed streams.
#[derive(Debug)]
pub struct Observer {
    shared: Shared,
    redis: Check,
    store: Check,
    shown: BTreeSet<String>,
}

impl Observer {
    /// Adds its checks. Both are informative: without Redis classic HLS goes
    /// on, without the object store everything that is live.
    pub fn new(shared: Shared, health: &Health) -> Self {
        let redis = health.informative("redis");
        let store = health.informative("objectStore");
        Self { shared, redis, store, shown: BTreeSet::new() }
    }

    /// Looks until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(PERIOD);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.show_edges();
            let origin = &self.shared.origin;
            let (redis, store) = tokio::join!(
                tokio::time::timeout(PATIENCE, origin.ping_redis()),
                tokio::time::timeout(PATIENCE, origin.ping_store()),
            );
            tell(&self.redis, redis);
            tell(&self.store, store);
        }
    }

    fn show_edges(&mut self) {
        let edges = &self.shared.metrics.live_edge;
        let mut shown = BTreeSet::new();
        for (stream, snapshot) in self.shared.streams.all() {
            if let Some(behind) = edge_latency(&snapshot) {
                let labels = StreamLabels { stream: stream.to_string() };
                edges.get_or_create(&labels).set(behind);
                shown.insert(labels.stream);
            }
        }
        for gone in self.shown.difference(&shown) {
            edges.remove(&StreamLabels { stream: gone.clone() });
        }
        self.shown = shown;
    }
}

fn tell<E: std::error::Error + 'static>(
    check: &Check,
    outcome: Result<Result<(), E>, tokio::time::error::Elapsed>,
) {
    match outcome {
        Ok(Ok(())) => check.ok(),
        Ok(Err(error)) => check.failing(report(&error)),
        Err(_) => check.failing("does not answer in time"),
    }
}
