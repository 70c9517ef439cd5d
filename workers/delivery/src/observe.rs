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
use crate::origin::OriginError;

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
    keys: Option<Check>,
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
        let keys = shared.access.has_file().then(|| health.informative("playbackKeys"));
        Self { shared, redis, store, keys, postgres, shown: BTreeSet::new() }
    }

    /// Looks until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(PERIOD);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.show_edges();
            self.show_keys();
            let origin = &self.shared.origin;
            let ((), (), ()) = tokio::join!(
                tell(&self.redis, said(origin.ping_redis())),
                tell(&self.store, async { origin.ping_store().await.map_err(brief) }),
                async {
                    if let Some((database, check)) = &self.postgres {
                        Box::pin(tell(check, said(check_schema_min(database, SCHEMA)))).await;
                    }
                },
            );
        }
    }

    fn show_keys(&self) {
        let Some(check) = &self.keys else { return };
        match self.shared.access.problem() {
            None => check.ok(),
            Some(problem) => check.failing(problem),
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

/// Its error as text.
async fn said<E: std::error::Error + 'static>(
    answer: impl Future<Output = Result<(), E>>,
) -> Result<(), String> {
    answer.await.map_err(|error| report(&error))
}

/// The error of a store, whose servers say more than everybody may read.
fn brief(error: OriginError) -> String {
    match error {
        OriginError::Store(error) => error.brief(),
        error => error.to_string(),
    }
}

async fn tell(check: &Check, answer: impl Future<Output = Result<(), String>>) {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(())) => check.ok(),
        Ok(Err(error)) => check.failing(error),
        Err(_) => check.failing("does not answer in time"),
    }
}
