//! Each second of each live stream, summed over all replicas: a snapshot in
//! Redis and a row in Postgres, by one process at a time.
//!
//! The one is who holds an advisory lock in Postgres. When Postgres goes away
//! the holder goes on: snapshots come as before, and rows wait ([`rows`]). It
//! stops when Postgres is back and somebody else holds the lock. Rows written
//! twice are one row, so that a moment with two is harmless, and a new holder
//! begins a few seconds back, as far as Redis remembers.

pub mod rows;
mod sum;

use std::pin::Pin;
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::breaker::{Breaker, BreakerError};
use millrace_platform::postgres::singleton::{Held, Singleton};
use millrace_platform::redis::RedisError;
use millrace_platform::redis::metrics::{LIFE, MetricsStore};
use millrace_platform::redis::viewers::Viewers;
use millrace_platform::report::report;
use millrace_platform::wall;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::origin::Origin;
use rows::Rows;
use sum::sum;

/// A second is summed this many seconds after it began: everybody has told
/// what was counted in it by then.
const DELAY: u64 = 2;
/// Seconds older than this are forgotten by Redis.
const REACH: u64 = LIFE - 1;
/// Rows were written since the lock was lost, and this long it was not had
/// again: somebody else has it.
const YIELD: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Aggregator {
    singleton: Singleton,
    counters: MetricsStore,
    viewers: Viewers,
    breaker: Breaker,
    rows: Rows,
    metrics: Metrics,
}

type Waiting<'s> = Pin<Box<dyn Future<Output = Held> + Send + 's>>;

impl Aggregator {
    /// Whose rows go to `rows`.
    pub fn new(singleton: Singleton, origin: &Origin, rows: Rows, metrics: Metrics) -> Self {
        Self {
            singleton,
            counters: origin.metrics.clone(),
            viewers: origin.viewers.clone(),
            breaker: Breaker::new(3, Duration::from_secs(1))
                .observed(&metrics.breakers, "aggregation"),
            rows,
            metrics,
        }
    }

    /// Works whenever this process is the one, until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        while let Some(held) = shutdown.run_until_cancelled(self.singleton.hold()).await {
            self.metrics.aggregates.set(1);
            self.work(held, &shutdown).await;
            self.metrics.aggregates.set(0);
        }
    }

    /// Works until the shutdown or until somebody else does.
    async fn work(&self, held: Held, shutdown: &CancellationToken) {
        // The first tick is in the next second.
        let mut next = (wall::second() + 1).saturating_sub(REACH);
        let mut held = Some(held);
        let mut lost: Option<(Instant, Waiting<'_>)> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = wall::next_second() => {
                    next = self.catch_up(next).await;
                    let yields = lost.as_ref().is_some_and(|(since, _)| {
                        since.elapsed() > YIELD && self.rows.written_since(*since + YIELD / 2)
                    });
                    if yields {
                        tracing::info!("another process aggregates");
                        return;
                    }
                }
                () = is_lost(held.as_ref()) => {
                    tracing::warn!("Postgres is away: seconds are summed, their rows wait");
                    held = None;
                    lost = Some((Instant::now(), Box::pin(self.singleton.hold())));
                }
                again = regained(lost.as_mut()) => {
                    held = Some(again);
                    lost = None;
                }
            }
        }
    }

    /// Sums the seconds that are over, from `next` on; says which is the next.
    async fn catch_up(&self, next: u64) -> u64 {
        let now = wall::second();
        let (mut next, missed) = within_reach(next, now);
        self.metrics.seconds_missed.inc_by(missed);
        while next.saturating_add(DELAY) <= now {
            match self.breaker.call(self.second(next)).await {
                Ok(()) => next += 1,
                Err(BreakerError::Open) => return next,
                Err(error) => {
                    tracing::warn!(error = report(&error), "a second can't be summed");
                    return next;
                }
            }
        }
        next
    }

    /// Sums one second of every live stream.
    async fn second(&self, second: u64) -> Result<(), RedisError> {
        let streams: Vec<StreamId> = self.counters.live(second).await?;
        let (counted, audiences) = tokio::try_join!(
            self.counters.sums(&streams, second),
            self.viewers.audiences(&streams, wall::second()),
        )?;
        let (mut snapshots, mut rows) = (Vec::new(), Vec::new());
        for (stream, (counted, audience)) in
            streams.into_iter().zip(counted.into_iter().zip(audiences))
        {
            let (snapshot, row) = sum(stream, second, &counted, audience);
            snapshots.push(snapshot);
            rows.push(row);
        }
        self.counters.put_snapshots(&snapshots).await?;
        self.rows.push(rows);
        Ok(())
    }
}

/// The next second to sum, and how many before it are out of reach. Where the
/// clock stepped back it begins anew: a second summed twice is one row.
fn within_reach(next: u64, now: u64) -> (u64, u64) {
    let first = now.saturating_sub(REACH);
    if next > now + 1 { (first, 0) } else { (next.max(first), first.saturating_sub(next)) }
}

async fn is_lost(held: Option<&Held>) {
    match held {
        Some(held) => held.lost().await,
        None => std::future::pending().await,
    }
}

async fn regained(lost: Option<&mut (Instant, Waiting<'_>)>) -> Held {
    match lost {
        Some((_, waiting)) => waiting.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summing_goes_on_after_a_pause_and_after_a_clock_that_steps_back() {
        for (next, now, expected) in [
            (999, 1_000, (999, 0)),
            (1_001, 1_000, (1_001, 0)),
            (990, 1_000, (1_000 - REACH, 10 - REACH)),
            (4_600, 1_000, (1_000 - REACH, 0)),
        ] {
            assert_eq!(within_reach(next, now), expected, "{next} at {now}");
        }
    }
}
