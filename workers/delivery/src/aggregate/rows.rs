//! Rows of `stream_metrics` on their way to Postgres. While it is away they
//! wait, bounded: the oldest are lost first, and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_platform::backoff::Backoff;
use millrace_platform::postgres::DatabaseError;
use millrace_platform::postgres::metrics::{Second, StreamMetrics};
use millrace_platform::report::report;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Rows that wait at most: two minutes of 1,000 live streams, a day of one.
const MAX_WAITING: usize = 120_000;
/// Rows in one statement.
const BATCH: usize = 2_000;
/// How long a stopping process tries to write what is left.
const FAREWELL: Duration = Duration::from_secs(4);

/// What waits. Clones share it.
#[derive(Debug, Clone)]
pub struct Rows {
    shared: Arc<Shared>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<VecDeque<Second>>,
    written: Mutex<Option<Instant>>,
    more: Notify,
}

impl Rows {
    /// Nothing waits yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { shared: Arc::default(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Second>> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds rows.
    pub fn push(&self, rows: Vec<Second>) {
        if rows.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        waiting.extend(rows);
        let over = waiting.len().saturating_sub(MAX_WAITING);
        waiting.drain(..over);
        drop(waiting);
        self.lost(over);
        self.shared.more.notify_one();
    }

    fn lost(&self, rows: usize) {
        self.metrics.rows_lost.inc_by(u64::try_from(rows).unwrap_or_default());
    }

    /// Whether Postgres took rows since then.
    pub fn written_since(&self, then: Instant) -> bool {
        let written = self.shared.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.is_some_and(|at| at >= then)
    }

    /// Writes what comes until `stop`, and then for a moment what is left.
    pub async fn write(self, table: StreamMetrics, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(2));
        while !stop.is_cancelled() {
            match self.write_batch(&table).await {
                Ok(true) => backoff.reset(),
                Ok(false) => {
                    stop.run_until_cancelled(self.shared.more.notified()).await;
                }
                Err(error) => {
                    if backoff.attempts() == 0 {
                        tracing::warn!(error = report(&error), "rows of metrics wait");
                    }
                    stop.run_until_cancelled(backoff.wait()).await;
                }
            }
        }
        let rest = async { while let Ok(true) = self.write_batch(&table).await {} };
        if tokio::time::timeout(FAREWELL, rest).await.is_err() || !self.lock().is_empty() {
            tracing::warn!("Postgres did not take the last rows of metrics");
        }
    }

    /// Writes some of what waits; false if nothing does.
    async fn write_batch(&self, table: &StreamMetrics) -> Result<bool, DatabaseError> {
        let mut batch: Vec<Second> = {
            let mut waiting = self.lock();
            let some = waiting.len().min(BATCH);
            waiting.drain(..some).collect()
        };
        if batch.is_empty() {
            return Ok(false);
        }
        match table.insert(&batch).await {
            Ok(new) => {
                self.metrics.rows_written.inc_by(new);
                *self.shared.written.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Instant::now());
                Ok(true)
            }
            Err(error @ DatabaseError::Invalid { .. }) => {
                // Not again for ever, with everything behind it.
                tracing::error!(error = report(&error), "rows of metrics are given up");
                self.lost(batch.len());
                Ok(true)
            }
            Err(error) => {
                let mut waiting = self.lock();
                let room = MAX_WAITING.saturating_sub(waiting.len());
                let over = batch.len().saturating_sub(room);
                batch.drain(..over);
                for row in batch.into_iter().rev() {
                    waiting.push_front(row);
                }
                drop(waiting);
                self.lost(over);
                Err(error)
            }
        }
    }
}
