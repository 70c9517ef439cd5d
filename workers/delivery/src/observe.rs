//! The task that looks at this replica from outside its requests: do Redis, the
//! object store and Postgres answer, how far behind is the live edge.

use millrace_platform::report::report;
use std::collections::BTreeSet;
use std::time::Duration;

use millrace_platform::health::{Check, Health};
use millrace_platform::postgres::{Database, check_schema_min};
use tokio_util::sync::CancellationToken;

use crate::http::state::Shared;
use crate::http::streams::edge_latency;
use crate::metrics::StreamLabels;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);
/// A server that takes longer counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// The schema that is needed: sessions, metrics, outbox.
const SCHEMA: i64 = 2;

/// Looks at what is outside and at the followed streams.
#[derive(Debug)]
pub struct Observer {
    shared: Shared,
    redis: Check,
    store: Check,
    postgres: Option<(Database, Check)>,
    shown: BTreeSet<String>,
}

impl Observer {
    /// Adds its checks. All are informative: without Redis classic HLS goes
    /// on, without the object store everything that is live, and without
    /// Postgres everything but the record.
    pub fn new(shared: Shared, database: Option<Database>, health: &Health) -> Self {
        let postgres = database.map(|database| (database, health.informative("postgres")));
        let redis = health.informative("redis");
        let store = health.informative("objectStore");
        Self { shared, redis, store, postgres, shown: BTreeSet::new() }
    }

    /// Looks until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(PERIOD);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.show_edges();
            let origin = &self.shared.origin;
            let ((), (), ()) = tokio::join!(
                tell(&self.redis, origin.ping_redis()),
                tell(&self.store, origin.ping_store()),
                async {
                    if let Some((database, check)) = &self.postgres {
                        tell(check, check_schema_min(database, SCHEMA)).await;
                    }
                },
            );
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

async fn tell<E: std::error::Error + 'static>(
    check: &Check,
    answer: impl Future<Output = Result<(), E>>,
) {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(())) => check.ok(),
        Ok(Err(error)) => check.failing(report(&error)),
        Err(_) => check.failing("does not answer in time"),
    }
}
