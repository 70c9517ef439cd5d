//! What one replica does to keep the record in order: it makes partitions of
//! metrics ahead, drops what is older than the retention, and gives up the
//! sessions of viewers who went without a word.

use std::time::Duration;

use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::partitions::Partitions;
use millrace_platform::postgres::sessions::Sessions;
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::report::report;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audience::told;
use crate::settings::Retention;
use millrace_platform::wall;

/// Days for which there are partitions ahead.
const AHEAD: u8 = 3;
/// How often partitions and the retention are looked at.
const HOUSE: Duration = Duration::from_mins(10);
/// How often viewers who went are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// A viewer whose row was not renewed for this long, ms, went: 30 s, and what a
/// report may take on its way.
const GONE: i64 = 45_000;
/// After it could not be done for a while, others have this long to write what
/// waits: those viewers watch.
const GRACE: Duration = Duration::from_secs(30);
/// Rows in one statement.
const BATCH: u32 = 500;

/// See the module.
#[derive(Debug)]
pub struct Keeping {
    database: Database,
    partitions: Partitions,
    sessions: Sessions,
    outbox: Outbox,
    retention: Retention,
}

impl Keeping {
    /// Of this database.
    pub fn new(
        database: Database,
        sessions: Sessions,
        outbox: Outbox,
        retention: Retention,
    ) -> Self {
        let partitions = Partitions::new(database.clone());
        Self { database, partitions, sessions, outbox, retention }
    }

    /// Works until `stop` or until Postgres does not answer.
    pub async fn work(&self, stop: CancellationToken) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        let mut house = tokio::time::interval(HOUSE);
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = house.tick() => self.house().await?,
                _ = sweep.tick() => if begun.elapsed() > GRACE { self.sweep().await? },
            }
        }
    }

    /// Partitions and retention. A table that is in use is tried again later.
    async fn house(&self) -> Result<(), DatabaseError> {
        let made = self.partitions.make_ahead(AHEAD).await;
        let dropped = self.partitions.drop_older(self.retention.metrics).await;
        for error in [made.map(drop).err(), dropped.map(drop).err()].into_iter().flatten() {
            tracing::warn!(error = report(&error), "partitions of metrics are not in order");
            if matches!(error, DatabaseError::Unavailable { .. }) {
                return Err(error);
            }
        }
        let kept = i64::try_from(self.retention.sessions.as_millis()).unwrap_or(i64::MAX);
        let before = wall::ms().saturating_sub(kept);
        while self.sessions.prune(before, BATCH).await? == u64::from(BATCH) {}
        Ok(())
    }

    /// Ends the sessions of viewers who went without a word.
    pub async fn sweep(&self) -> Result<(), DatabaseError> {
        loop {
            let mut transaction = self.database.begin().await?;
            let before = wall::ms().saturating_sub(GONE);
            let gone = self.sessions.leave_unseen(&mut transaction, before, BATCH).await?;
            let events: Vec<_> = gone.iter().map(told::left).collect();
            self.outbox.append(&mut transaction, told::SOURCE, &events).await?;
            transaction.commit().await?;
            if u32::try_from(gone.len()).unwrap_or(BATCH) < BATCH {
                return Ok(());
            }
        }
    }
}
