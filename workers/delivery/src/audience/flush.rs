//! Once a second: what this replica saw goes to Redis, and what all replicas
//! know of the visits comes back.
//!
//! While Redis is away viewers are kept here and reported again each second,
//! so that they are counted as soon as it is back; of what was counted, bytes
//! are lost and stalls are not.

use std::time::Duration;

use futures::StreamExt;
use millrace_media::id::StreamId;
use millrace_platform::breaker::{Breaker, BreakerError};
use millrace_platform::redis::metrics::MetricsStore;
use millrace_platform::redis::viewers::{Report, Viewers};
use millrace_platform::report::report;
use millrace_platform::wall;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Audience;
use super::record::Record;
use crate::metrics::Metrics;
use crate::origin::Origin;

/// So many failures in a row, and Redis is left alone for a while.
const FAILURES: u32 = 3;
/// How long.
const COOL_DOWN: Duration = Duration::from_secs(2);
/// Streams reported at a time.
const AT_ONCE: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Flush {
    audience: Audience,
    viewers: Viewers,
    viewers_breaker: Breaker,
    counters: MetricsStore,
    counters_breaker: Breaker,
    /// Where visits go on to; none where there is no Postgres.
    record: Option<Record>,
    metrics: Metrics,
    source: String,
}

impl Flush {
    /// Of what `audience` hears.
    pub fn new(
        audience: Audience,
        origin: &Origin,
        record: Option<Record>,
        metrics: Metrics,
    ) -> Self {
        let breaker = |name| Breaker::new(FAILURES, COOL_DOWN).observed(&metrics.breakers, name);
        Self {
            audience,
            viewers: origin.viewers.clone(),
            viewers_breaker: breaker("viewers"),
            counters: origin.metrics.clone(),
            counters_breaker: breaker("metrics"),
            record,
            source: format!("delivery-{}", Uuid::new_v4().simple()),
            metrics,
        }
    }

    /// After every whole second until the shutdown, and once more then.
    pub async fn run(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(wall::next_second()).await.is_some() {
            let now = wall::ms();
            self.audience.table().forget(now);
            // First: whoever sums the second waits for nobody.
            self.count(seconds(now).saturating_sub(1)).await;
            self.report_all(now).await;
            self.salt(now).await;
        }
        let now = wall::ms();
        self.report_all(now).await;
        // The second before is written, and this one will not be by anybody.
        self.count(seconds(now)).await;
    }

    async fn report_all(&self, now: i64) {
        let due = self.audience.table().due(now);
        let report = async |(stream, reports): (StreamId, Vec<Report>)| {
            self.report(&stream, &reports, now).await;
        };
        futures::stream::iter(due).for_each_concurrent(AT_ONCE, report).await;
        let kept = i64::try_from(self.audience.table().viewers()).unwrap_or(i64::MAX);
        self.metrics.viewers.set(kept);
    }

    async fn report(&self, stream: &StreamId, reports: &[Report], now: i64) {
        let taken = self.viewers.report(stream, reports, seconds(now));
        let taken = self.viewers_breaker.call(taken).await;
        let mut table = self.audience.table();
        let known: Vec<_> = match taken {
            Ok(visits) => reports
                .iter()
                .zip(visits)
                .filter_map(|(report, visit)| table.settle(stream, report, visit))
                .collect(),
            Err(error) => {
                tracing::debug!(%stream, error = report(&error), "viewers are not reported");
                reports.iter().filter_map(|report| table.put_back(stream, report)).collect()
            }
        };
        drop(table);
        let Some(record) = &self.record else { return };
        for known in known {
            record.note(stream, known);
        }
    }

    /// Writes what was counted in a second.
    async fn count(&self, second: u64) {
        let counted = self.audience.table().take_counted();
        if counted.is_empty() {
            return;
        }
        let write = async || {
            let written = self.counters.put_counters(&self.source, second, &counted);
            self.counters_breaker.call(written).await
        };
        let mut written = write().await;
        if matches!(written, Err(BreakerError::Failed(_))) {
            // It may be there: the same again is no more.
            written = write().await;
        }
        if let Err(error) = written {
            tracing::debug!(error = report(&error), "what was counted is not told");
            self.audience.table().count_again(counted);
        }
    }

    async fn salt(&self, now: i64) {
        let unsalted = self.audience.table().unsalted(now);
        for stream in unsalted {
            let fresh = Uuid::new_v4().simple().to_string();
            let asked = self.viewers.salt(&stream, &fresh);
            let Ok(salt) = self.viewers_breaker.call(asked).await else { return };
            self.audience.table().set_salt(&stream, &salt, now);
        }
    }
}

fn seconds(ms: i64) -> u64 {
    u64::try_from(ms.div_euclid(1_000)).unwrap_or_default()
}
