//! Calling a stream live: its ingest and its transcoder do so each second
//! while a broadcast is open. While Redis is away nobody does, and the stream
//! has no metrics.

use std::time::Duration;

use millrace_media::id::StreamId;
use tokio_util::sync::CancellationToken;

use super::{Counters, MetricsStore};
use crate::breaker::{Breaker, BreakerMetrics};
use crate::report::report;
use crate::wall;

/// Calls one stream live.
#[derive(Debug)]
pub struct Live {
    store: MetricsStore,
    stream: StreamId,
    source: String,
    breaker: Breaker,
}

impl Live {
    /// `kind` says what this process is, for example `ingest`.
    pub fn new(
        store: MetricsStore,
        stream: StreamId,
        kind: &str,
        breakers: &BreakerMetrics,
    ) -> Self {
        let breaker = Breaker::new(3, Duration::from_secs(2)).observed(breakers, "metrics");
        let source = format!("{kind}-{}", uuid::Uuid::new_v4().simple());
        Self { store, stream, source, breaker }
    }

    /// Until `stop`. `counted` gives what was counted since it was last asked,
    /// none while no broadcast is open.
    pub async fn run(self, counted: impl Fn() -> Option<Counters>, stop: CancellationToken) {
        while stop.run_until_cancelled(wall::next_second()).await.is_some() {
            let Some(counters) = counted() else { continue };
            let counted = [(self.stream.clone(), counters)];
            let second = wall::second().saturating_sub(1);
            let told = self.store.put_live(&self.source, second, &counted);
            if let Err(error) = self.breaker.call(told).await {
                tracing::debug!(error = report(&error), "the stream is not called live");
            }
        }
    }
}
