//! What a second of many live streams costs delivery: it reads their counters and viewers, and
//! writes their snapshots and rows.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_delivery::metrics::Metrics;
use millrace_delivery::origin::Origin;
use millrace_delivery::settings::Settings;
use millrace_harness::http::Http;
use millrace_harness::ports;
use millrace_harness::process::Child;
use millrace_media::id::{BroadcastId, StreamId};
use millrace_platform::config::Env;
use millrace_platform::redis::metrics::Counters;
use millrace_platform::redis::viewers::{Report, Settled, Sign};
use millrace_platform::wall;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::cpu;
use crate::report::{Row, decimals};

/// Live streams.
const STREAMS: u32 = 1_000;
/// Viewers of each.
const VIEWERS: u32 = 5;
/// Before it is measured.
const WARM_UP: Duration = Duration::from_secs(6);
/// Longest wait for the first rows.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts delivery with this environment and measures over `window`: rows a second, and the
/// share of a core.
pub(crate) async fn measure(
    mut environment: Vec<(String, String)>,
    programs: &Path,
    log: &Path,
    window: Duration,
) -> Result<Row> {
    let admin = ports::free()?;
    environment.push(("ADMIN_PORT".to_owned(), admin.to_string()));
    let mut command = Command::new(programs.join("millrace-delivery"));
    command.env_clear().envs(environment.clone());
    let mut delivery = Child::spawn("millrace-delivery", &mut command, log)?;
    let settings = Settings::read(&Env::from_pairs(environment))?;
    let origin = Origin::open(&settings, &Metrics::default())?;
    let figures = async {
        let page = format!("http://127.0.0.1:{admin}/metrics");
        timeout(PATIENCE, first_rows(&page)).await.context("no row was written")??;
        sleep(WARM_UP).await;
        // Between two seconds' rows, so that the window has whole ones.
        wall::next_second().await;
        sleep(Duration::from_millis(600)).await;
        let (rows, begun) = (written(&page).await?, Instant::now());
        let before = cpu::used(&[delivery.pid()])?;
        sleep(window).await;
        let seconds = begun.elapsed().as_secs_f64();
        let core = cpu::used(&[delivery.pid()])?.saturating_sub(before).as_secs_f64() / seconds;
        anyhow::Ok(((written(&page).await? - rows) / seconds, core))
    };
    let (rows, core) = tokio::select! {
        figures = figures => figures?,
        error = live(&origin) => return error.map(|never| match never {}),
    };
    delivery.stop(Duration::from_secs(20)).await;
    let values = vec![decimals(rows, 0), decimals(core * 100.0, 1)];
    Ok(Row::new("1,000 live streams, 5 viewers each", values, "one delivery replica, no requests"))
}

async fn first_rows(page: &str) -> Result<()> {
    while written(page).await.unwrap_or_default() < 1.0 {
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Rows it wrote so far.
async fn written(page: &str) -> Result<f64> {
    let text = Http::new()?.text(page).await?;
    let line = text.lines().find(|l| l.starts_with("millrace_delivery_metric_rows_written_total"));
    let value = line.and_then(|line| line.rsplit(' ').next()).context("no count of rows")?;
    value.parse().context("the count of rows is none")
}

/// Calls the streams live and reports their viewers, as ingest and two replicas would.
async fn live(origin: &Origin) -> Result<std::convert::Infallible> {
    let broadcast = BroadcastId(Uuid::now_v7());
    let streams = (0..STREAMS)
        .map(|n| StreamId::new("bench", &format!("s{n}")).context("a stream's name"))
        .collect::<Result<Vec<_>>>()?;
    let sent = [("480p".parse()?, 937_500), ("720p".parse()?, 1_875_000)];
    let ingest =
        Counters { broadcast: Some(broadcast), ingress_bytes: 375_000, ..Counters::default() };
    let delivery = Counters { egress_bytes: sent.into(), ..Counters::default() };
    let with = |counters: &Counters| -> Vec<_> {
        streams.iter().map(|stream| (stream.clone(), counters.clone())).collect()
    };
    let (ingest, delivery) = (with(&ingest), with(&delivery));
    for turn in 0_usize.. {
        wall::next_second().await;
        let over = wall::second().saturating_sub(1);
        origin.metrics.put_live("ingest-bench", over, &ingest).await?;
        for replica in ["delivery-one", "delivery-two"] {
            origin.metrics.put_counters(replica, over, &delivery).await?;
        }
        // Each viewer every ten seconds.
        let reports = (0..VIEWERS).map(|n| report(n, broadcast)).collect::<Result<Vec<_>>>()?;
        for stream in streams.iter().skip(turn % 10).step_by(10) {
            origin.viewers.report(stream, &reports, wall::second()).await?;
        }
    }
    anyhow::bail!("counted to the end of all numbers")
}

fn report(n: u32, broadcast: BroadcastId) -> Result<Report> {
    Ok(Report {
        viewer: format!("viewer-{n}").parse()?,
        sign: Sign::Seen,
        covers: None,
        seen_s: wall::second(),
        joined_ms: 0,
        broadcast,
        rendition: Some(if n == 0 { "480p" } else { "720p" }.parse()?),
        stalls: 0,
        more_stalls: 0,
        dropped_frames: 0,
        settled: Settled::default(),
    })
}
