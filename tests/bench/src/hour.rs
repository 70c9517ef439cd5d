//! The last hour of one stream among a million rows of metrics, asked as delivery asks.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_media::id::StreamId;
use millrace_platform::config::{DatabaseConfig, Env, Installation};
use millrace_platform::postgres::Database;
use millrace_platform::postgres::metrics::{MAX_SECONDS, StreamMetrics};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep};

use crate::lookups::{row, spread};
use crate::report::Row;

/// So often.
const COUNT: usize = 300;
const HOUR: i64 = 3_600;
/// Longest wait for the server's own figures.
const PATIENCE: Duration = Duration::from_secs(30);

/// A day of seconds of 12 streams: 1,036,800 rows.
const FILL: &str = r#"
    SELECT stream_metrics_make_partition(-1);
    INSERT INTO stream_metrics
        (installation, stream_id, "timestamp", viewers, ingress_kbps, egress_kbps, quality)
    SELECT '{installation}', 'load.stream-' || s,
           date_trunc('second', now()) - make_interval(secs => n), n % 500, 6000, n % 500 * 3000,
           jsonb_build_object('480p', n % 7, '720p', n % 11, '1080p', n % 13)
    FROM generate_series(0, 86399) n, generate_series(1, 12) s;
    ANALYZE stream_metrics;"#;

/// Scans of the table and its partitions so far: of the whole, and by an index.
const SCANS: &str = "
    SELECT sum(seq_scan)::bigint, sum(coalesce(idx_scan, 0))::bigint FROM pg_stat_user_tables
    WHERE relname LIKE 'stream_metrics%'";

/// Fills the table of this environment and asks.
pub(crate) async fn measure(environment: Vec<(String, String)>) -> Result<Row> {
    let env = Env::from_pairs(environment);
    let (config, installation) = (DatabaseConfig::read(&env)?, Installation::read(&env)?);
    let mut behind = PgConnection::connect(config.url.expose()).await?;
    let fill = FILL.replace("{installation}", installation.as_str());
    behind.execute(sqlx::raw_sql(AssertSqlSafe(fill))).await.context("a million rows")?;
    // What filled it has told the server's figures of itself when it is gone.
    behind.close().await?;
    let mut behind = PgConnection::connect(config.url.expose()).await?;
    sleep(Duration::from_secs(1)).await;
    let before = scans(&mut behind).await?;

    let pool = Database::open(&DatabaseConfig { max_connections: 1, ..config.clone() })?;
    let metrics = StreamMetrics::new(pool.clone(), installation);
    let stream = StreamId::new("load", "stream-3")?;
    let to = i64::try_from(millrace_platform::wall::second())? + 1;
    let asked = spread(COUNT, async || {
        let hour = metrics.range(&stream, to - HOUR, to, MAX_SECONDS).await?;
        ensure!(hour.len() > 3_000, "{} rows", hour.len());
        Ok(())
    });
    let asked = asked.await?;
    pool.close().await;

    let begun = Instant::now();
    let (whole, by_index) = loop {
        let (whole, by_index) = scans(&mut behind).await?;
        if by_index >= before.1 + i64::try_from(COUNT)? || begun.elapsed() > PATIENCE {
            break (whole - before.0, by_index - before.1);
        }
        sleep(Duration::from_millis(100)).await;
    };
    let note = if whole == 0 && by_index > 0 { "by the index alone" } else { "NOT by the index" };
    Ok(row("last hour of a stream among 1,036,800 rows", &asked, note))
}

async fn scans(connection: &mut PgConnection) -> Result<(i64, i64)> {
    Ok(sqlx::query_as(SCANS).fetch_one(connection).await?)
}
