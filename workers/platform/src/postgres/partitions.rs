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
    /// `TimedOut` when the table could not be had within 2 s: try later.
    pub async fn make_ahead(&self, days: u8) -> Result<u32, DatabaseError> {
        let mut made = 0;
        for day in 0..=i32::from(days.min(31)) {
            let what = || format!("make the partition of metrics {day} days ahead");
            let mut transaction = self.begin().await?;
            let new =
                sqlx::query_scalar!(r#"SELECT stream_metrics_make_partition($1) AS "new!""#, day)
                    .fetch_one(transaction.connection())
                    .await
                    .map_err(|e| transaction.error(what(), e))?;
            transaction.commit().await?;
            made += u32::from(new);
        }
        Ok(made)
    }

    /// Drops those that lie wholly before now - `retention`, which is at least
    /// a day; says which.
    ///
    /// # Errors
    /// `Invalid` when the retention is shorter; `TimedOut` when the table
    /// could not be had within 2 s: try later.
    pub async fn drop_older(&self, retention: Duration) -> Result<Vec<String>, DatabaseError> {
        let mut dropped = Vec::new();
        loop {
            let mut transaction = self.begin().await?;
            let name = sqlx::query_scalar!(
                "SELECT stream_metrics_drop_partition(make_interval(secs => $1))",
                retention.as_secs_f64(),
            )
            .fetch_one(transaction.connection())
            .await
            .map_err(|e| transaction.error("drop old partitions of metrics", e))?;
            transaction.commit().await?;
            match name {
                Some(name) => dropped.push(name),
                None => return Ok(dropped),
            }
        }
    }

    async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let set = sqlx::query(WORK_TIMEOUT).execute(transaction.connection()).await;
        set.map_err(|e| transaction.error("prepare work on partitions", e))?;
        Ok(transaction)
    }
}
