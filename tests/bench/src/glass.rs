//! From the camera to the screen: a picture's number is burnt in, and read in a browser that plays
//! with hls.js as it is.

mod camera;
mod stages;
mod witness;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use millrace_harness::http::{Http, eventually};
use millrace_harness::repo;
use millrace_harness::rtmp::client::Target;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cpu::Machine;
use crate::latency::Spread;
use crate::report::{Row, decimals, milliseconds};
use camera::Camera;
use stages::{Fetched, STAGES, Shown, Trace};
pub(crate) use witness::Witness;

/// How long it is played after each more start: a player keeps the distance that its start gave.
const START_SECONDS: u32 = 20;
/// What a browser may take beyond what it plays.
const PATIENCE: Duration = Duration::from_mins(2);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Glass {
    /// From the camera to the screen.
    pub(crate) latencies: Vec<Row>,
    /// Where the time went.
    pub(crate) stages: Vec<Row>,
}

/// Who is watched.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) note: &'static str,
    pub(crate) target: Target,
    /// The multivariant playlist.
    pub(crate) index: String,
    /// Looks into the log and Redis, where there are these.
    pub(crate) witness: Option<Witness>,
    /// For logs and the picture of the page.
    pub(crate) folder: PathBuf,
    /// How long it is played without a break.
    pub(crate) seconds: u32,
    /// How often playing begins anew after that.
    pub(crate) starts: u32,
}

/// What tests/browser/glass.mjs saw.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    shown: Vec<Shown>,
    fetched: Vec<Fetched>,
    stalls: u32,
    dropped: u32,
    errors: Vec<String>,
}

/// Plays without a break, and some more times from a new start.
pub(crate) async fn measure(subject: &Subject, glass: &mut Glass) -> Result<()> {
    let mut camera = Camera::start(&subject.target, &subject.folder)?;
    let (mut logged, mut published) = Default::default();
    let watching = async {
        match &subject.witness {
            Some(witness) => witness.watch(&mut logged, &mut published).await,
            None => std::future::pending().await,
        }
    };
    let playing = async {
        let http = Http::new()?;
        let index = || async { http.text(&subject.index).await };
        eventually("a playlist", Duration::from_secs(20), index).await?;
        let before = Machine::now()?;
        let long = play(subject, subject.seconds, 1).await?;
        let busy = before.busy_until(Machine::now()?);
        anyhow::Ok((long, busy, play(subject, START_SECONDS, subject.starts).await?))
    };
    let both = async {
        tokio::select! {
            played = playing => played,
            failed = watching => { failed?; anyhow::bail!("the log ended") }
        }
    };
    let (long, busy, starts) = Box::pin(camera.during(both)).await??;
    let taken = camera.taken().all();
    camera.stop().await?;

    let mut trace = Trace { taken, logged, published, ..Trace::default() };
    for (report, name, note, busy) in [
        (long, format!("{}, {} s", subject.name, subject.seconds), subject.note, decimals(busy, 2)),
        (
            starts,
            format!("  {} more starts, {START_SECONDS} s each", subject.starts),
            "",
            "-".to_owned(),
        ),
    ] {
        if report.runs.is_empty() {
            continue;
        }
        let (mut stalls, mut dropped, mut shown, mut fetched) = (0, 0, Vec::new(), Vec::new());
        for run in report.runs {
            ensure!(run.errors.is_empty(), "{name}: hls.js says {:?}", run.errors);
            stalls += run.stalls;
            dropped += run.dropped;
            shown.extend(run.shown);
            fetched.extend(run.fetched);
        }
        (trace.shown, trace.fetched) = (shown, fetched);
        let mut values = milliseconds(&Spread::of(trace.latencies()).context("no picture shown")?);
        values.extend([stalls.to_string(), dropped.to_string(), busy]);
        glass.latencies.push(Row::new(name, values, note));
        if subject.witness.is_some() && glass.stages.is_empty() {
            glass.stages = rows(&trace);
        }
    }
    Ok(())
}

fn rows(trace: &Trace) -> Vec<Row> {
    let each = STAGES.iter().zip(trace.stages());
    let row = |((name, note), spread): (&(&str, &'static str), Option<Spread>)| match spread {
        Some(spread) => Row::new(*name, milliseconds(&spread), note),
        None => Row::missing(*name, "no part was seen on its whole way"),
    };
    each.map(row).collect()
}

/// Plays in a browser.
async fn play(subject: &Subject, seconds: u32, starts: u32) -> Result<Report> {
    let script = repo::root().join("tests/browser/glass.mjs");
    let playing = node(&script, subject, seconds, starts).output();
    let limit = PATIENCE + Duration::from_secs(1) * seconds * starts;
    let output = timeout(limit, playing).await.context("the browser came to no end")??;
    std::fs::write(subject.folder.join("browser.json"), &output.stdout)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the browser: {}", said.trim());
    serde_json::from_slice(&output.stdout).context("what the browser saw")
}

fn node(script: &Path, subject: &Subject, seconds: u32, starts: u32) -> Command {
    let mut command = Command::new("node");
    command
        .arg(script)
        .args(["--url", &subject.index])
        .args(["--seconds", &seconds.to_string(), "--starts", &starts.to_string()])
        .arg("--screenshots")
        .arg(&subject.folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// µs since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
