//! The pages in headless Chromium; the judges are in tests/browser.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::repo;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::reconnect::{playlist, until_ended};
use crate::stage::Stage;

#[tokio::test]
async fn the_player_plays_obeys_keys_outlives_an_outage_and_can_be_embedded() {
    let stage = Stage::open(&Manifest::new("browser")).await;
    let publisher = stage.publish();
    stage.viewer().await;
    judge(&stage, "player.mjs", &["--url", &stage.endpoints().player]).await;
    assert_recorded(&stage).await;
    publisher.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn the_player_page_goes_on_after_a_lost_publisher_and_with_the_next_broadcast() {
    // It looks like the id of a broadcast.
    let namespace = "c0ffee00-0000-4000-8000-00000000cafe".to_owned();
    let manifest = Manifest { namespace, ..Manifest::new("browser-returns") };
    let stage = Stage::open(&manifest).await;
    let publisher = stage.publish();
    let first_url = stage.viewer().await.media_url().to_owned();
    let mut page = Shown::open(&stage);
    let first = page.until("live", None).await;

    publisher.kill();
    page.until("waiting", Some(&first)).await;
    let publisher = stage.publish();
    page.until("live", Some(&first)).await;
    // What the page shows may be the first publisher's last pictures still.
    until_another_joined(&stage, &first_url).await;

    publisher.stop().await;
    until_ended(&stage, &first_url).await;
    page.until("ended", Some(&first)).await;
    let publisher = stage.publish();
    assert_ne!(page.until("live", None).await, first);

    page.close().await;
    publisher.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn the_dashboard_shows_a_live_stream_makes_keys_and_ends_the_broadcast() {
    let stage = Stage::open(&Manifest::new("dashboard")).await;
    let publisher = stage.publish();
    stage.viewer().await;
    let to = stage.endpoints();
    let url = to.api.trim_end_matches("/api/v1");
    judge(&stage, "dashboard.mjs", &["--acts", "--url", url, "--stream", to.stream_id()]).await;
    // It was cut off.
    publisher.stop().await;
    stage.close().await;
}

/// Waits for a whole segment of a publisher who came back.
async fn until_another_joined(stage: &Stage, url: &str) {
    eventually("a segment after a discontinuity", Duration::from_mins(1), async || {
        let segments = playlist(stage, url).await?.segments;
        ensure!(segments.iter().any(|segment| segment.discontinuity), "none");
        Ok(())
    })
    .await
    .unwrap();
}

/// A player page, and what it shows.
struct Shown {
    browser: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

#[derive(Debug, Deserialize)]
struct State {
    state: String,
    broadcast: Option<String>,
}

impl Shown {
    fn open(stage: &Stage) -> Self {
        let mut browser = Command::new("node")
            .arg(repo::root().join("tests/browser/states.mjs"))
            .args(["--url", &stage.endpoints().player])
            .arg("--screenshots")
            .arg(stage.stack.folder().join("screenshots"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(browser.stdout.take().unwrap()).lines();
        Self { browser, lines }
    }

    /// Waits for the state, of this broadcast or any; the broadcast.
    async fn until(&mut self, wanted: &str, of: Option<&str>) -> String {
        let mut seen = Vec::new();
        let found = timeout(Duration::from_mins(1), async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let Ok(State { state, broadcast }) = serde_json::from_str(&line) else { break };
                seen.push(line);
                match broadcast {
                    Some(broadcast) if state == wanted && of.is_none_or(|of| of == broadcast) => {
                        return Some(broadcast);
                    }
                    _ => {}
                }
            }
            None
        });
        let found = found.await.ok().flatten();
        assert!(found.is_some(), "the page was never {wanted}: {seen:?}");
        found.unwrap()
    }

    /// As a viewer who leaves.
    async fn close(mut self) {
        drop(self.browser.stdin.take());
        assert!(self.browser.wait().await.unwrap().success());
    }
}

/// Runs a judge, whose screenshots and last words are kept.
async fn judge(stage: &Stage, script: &str, arguments: &[&str]) {
    let judge = command(stage, script, arguments).output();
    // A browser that does not come to an end is no judge.
    let output = timeout(Duration::from_mins(4), judge).await.unwrap().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Of a judge.
pub(crate) fn command(stage: &Stage, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("node");
    command
        .arg(repo::root().join("tests/browser").join(script))
        .args(arguments)
        .env("API_TOKEN", &stage.endpoints().token)
        .arg("--screenshots")
        .arg(stage.stack.folder().join("screenshots"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The three visits, each by its one name, and every second are in Postgres.
async fn assert_recorded(stage: &Stage) {
    let visits = "select count(*), count(distinct viewer), min(source), max(source),
                         bool_or(rung_changes > 0 and watch_ms > 10000)
                  from viewer_sessions";
    let left = "select count(*) from viewer_sessions where left_at is not null";
    let all_left = eventually("viewers that left", Duration::from_secs(20), async || {
        Some(stage.query(left).await).filter(|n| n == "3").context("not everybody left")
    });
    all_left.await.unwrap();
    assert_eq!(stage.query(visits).await, "3|3|beacon|beacon|t");
    let metrics = stage.metrics().await.unwrap();
    assert!(metrics.contains("millrace_delivery_cmcd_malformed_total 0"), "{metrics}");
    let seconds = "select count(*) = extract(epoch from max(timestamp) - min(timestamp)) + 1,
                          count(*) > 15, max(viewers) between 1 and 2, max(ingress_kbps) > 500,
                          max(egress_kbps) > 500, count(distinct broadcast)
                   from stream_metrics";
    assert_eq!(stage.query(seconds).await, "t|t|t|t|t|1");
}
