//! Brings Postgres to this version's schema as soon as it can be had.
//!
//! The first try comes before the process leads, so that the version before
//! works on while the schema changes, and one that can't be changed ends the
//! process while it leads nobody. Where Postgres is away the process leads
//! without it: no stream's step asks it until the schema is there.

use std::time::Duration;

use millrace_platform::backoff::Backoff;
use millrace_platform::health::{Check, Health};
use millrace_platform::postgres::MigrateError;
use millrace_platform::report::report;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::reconcile::external::External;
use crate::schema::Schema;

/// The check that says whether the schema is there.
const CHECK: &str = "schema";
/// Postgres is waited for so long in the first try,
const PATIENCE: Duration = Duration::from_secs(2);
/// and then asked again after this at first,
const SOON: Duration = Duration::from_millis(500);
/// and after this at most.
const SELDOM: Duration = Duration::from_secs(5);

/// A schema that is there, or waits for Postgres.
pub struct Migration {
    schema: Schema,
    external: External,
    health: Health,
    check: Check,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    NotTried,
    Waits,
    Done,
}

impl Migration {
    /// With a check: the process is not ready before the first try is over.
    pub fn new(schema: Schema, external: External, health: Health) -> Self {
        let check = health.needed(CHECK);
        Self { schema, external, health, check, progress: Progress::NotTried }
    }

    /// Tries for the first time.
    ///
    /// # Errors
    /// When Postgres is there and the schema can't be brought up.
    pub async fn begin(mut self) -> Result<Self, MigrateError> {
        self.attempt(PATIENCE).await?;
        Ok(self)
    }

    /// Tries until it is done, and stays until `stop`.
    ///
    /// # Errors
    /// As [`Migration::begin`]: the process can't go on with what is there.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(SOON, SELDOM);
        while self.progress != Progress::Done {
            if stop.run_until_cancelled(backoff.wait()).await.is_none() {
                return Ok(());
            }
            match stop.run_until_cancelled(self.attempt(Duration::ZERO)).await {
                Some(Err(failed)) => {
                    // One that does not lead yet is not to be taken for ready.
                    self.health.needed(CHECK).failing(report(&failed));
                    error!("the schema can't be brought up: {}", report(&failed));
                    return Err(failed.into());
                }
                Some(Ok(())) => {}
                None => return Ok(()),
            }
        }
        stop.cancelled().await;
        Ok(())
    }

    async fn attempt(&mut self, patience: Duration) -> Result<(), MigrateError> {
        // After a rollback the newer one stays: it has what this version needs.
        match self.schema.bring_up(patience, true).await {
            Ok(()) => {
                self.external.schema_is_there();
                self.check.ok();
                self.progress = Progress::Done;
                Ok(())
            }
            Err(away) if away.is_transient() => {
                self.wait_on(&away);
                Ok(())
            }
            Err(failed) => Err(failed),
        }
    }

    fn wait_on(&mut self, away: &MigrateError) {
        self.external.schema_waits();
        if self.progress == Progress::NotTried {
            self.progress = Progress::Waits;
            // All that needs no Postgres is done without.
            self.check = self.health.informative(CHECK);
            warn!("going on without Postgres: {}", report(away));
        }
        self.check.failing(format!("waits for Postgres: {}", report(away)));
    }
}
