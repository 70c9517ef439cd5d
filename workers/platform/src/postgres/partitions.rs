//! The partitions of `stream_metrics`, one per UTC day: made ahead, dropped
//! when they are older than the retention. An insert needs none of this: what
//! has no partition goes to the default one, and moves when its day's is made.

use std::time::Duration;

use super::{Database, DatabaseError, Transaction};

/// Longest time for one partition: rows may have to move.
const WORK_TIMEOUT: &str = "SET LOCAL statement_timeout = '10min'";

/// Makes and drops them. Several may do so at once.
#[derive(Debug, Clone)]
pub struct Partitions {
    database: Database,
}

impl Partitions {
    /// Those of this database; installations share them.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes those of today and of `days` days ahead, at most 31; says how
    /// many there were not.
    ///
    /// # Errors
    /// The first, after all were tried: `TimedOut` when the table could not be
    /// had within 2 s.
    pub async fn make_ahead(&self, days: u8) -> Result<u32, DatabaseError> {
        let (mut made, mut failed) = (0, None);
        for day in 0..=i32::from(days.min(31)) {
            match self.make(day).await {
                Ok(new) => made += u32::from(new),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(made), Err)
    }

    async fn make(&self, day: i32) -> Result<bool, DatabaseError> {
        let what = || format!("make the partition of metrics {day} days ahead");
        let mut transaction = self.begin().await?;
        let done =
            sqlx::query_scalar!(r#"SELECT stream_metrics_make_partition($1) AS "done!""#, day)
                .fetch_one(transaction.connection())
                .await
                .map_err(|e| transaction.error(what(), e))?;
        transaction.commit().await?;
        if done == "full" {
            tracing::warn!(day, "a day's metrics stay in the default partition: too many to move");
        }
        Ok(done == "made")
    }

    /// Drops those that lie wholly more than `retention` back, which is cut to
    /// whole days and is at least one, and the rows of that time that have
    /// none; says which partitions.
    ///
    /// # Errors
    /// `Invalid` when the retention is shorter; `TimedOut` when the table
    /// could not be had within 2 s: try later.
    pub async fn drop_older(&self, retention: Duration) -> Result<Vec<String>, DatabaseError> {
        let days = i32::try_from(retention.as_secs() / 86_400).unwrap_or(i32::MAX);
        let mut dropped = Vec::new();
        while let Some(name) = self.drop_one(days).await? {
            dropped.push(name);
        }
        while self.prune_default(days).await? > 0 {}
        Ok(dropped)
    }

    async fn drop_one(&self, days: i32) -> Result<Option<String>, DatabaseError> {
        let mut transaction = self.begin().await?;
        let name = sqlx::query_scalar!("SELECT stream_metrics_drop_partition($1)", days)
            .fetch_one(transaction.connection())
            .await
            .map_err(|e| transaction.error("drop old partitions of metrics", e))?;
        transaction.commit().await?;
        Ok(name)
    }

    async fn prune_default(&self, days: i32) -> Result<i64, DatabaseError> {
        sqlx::query_scalar!(r#"SELECT stream_metrics_prune_default($1) AS "gone!""#, days)
            .fetch_one(self.database.pool())
            .await
            .map_err(|e| self.database.error("delete old metrics without a partition", e))
    }

    async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let set = sqlx::query(WORK_TIMEOUT).execute(transaction.connection()).await;
        set.map_err(|e| transaction.error("prepare work on partitions", e))?;
        Ok(transaction)
    }
}
