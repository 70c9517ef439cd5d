//! The player page in headless Chromium; tests/browser/player.mjs is the judge.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::repo;
use tokio::process::Command;
use tokio::time::timeout;

use crate::stage::Stage;

#[tokio::test]
async fn the_player_page_plays_with_sound_and_changes_rungs() {
    let stage = Stage::open(&Manifest::new("browser")).await;
    let publisher = stage.publish();
    stage.viewer().await;
    let judge = Command::new("node")
        .arg(repo::root().join("tests/browser/player.mjs"))
        .args(["--url", &stage.endpoints().player])
        .arg("--screenshot")
        .arg(stage.stack.folder().join("player.png"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_mins(3), judge)
        .await
        .expect("the browser came to an end")
        .expect("node runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_recorded(&stage).await;
    publisher.stop().await;
    stage.close().await;
}

/// The one viewer and every second are in Postgres.
async fn assert_recorded(stage: &Stage) {
    let visit = "select source, rung_changes > 0, watch_ms > 10000 from viewer_sessions
                 where left_at is not null";
    let visits = eventually("a viewer that left", Duration::from_secs(20), async || {
        Some(stage.query(visit).await).filter(|rows| !rows.is_empty()).context("nobody left")
    });
    assert_eq!(visits.await.unwrap(), "beacon|t|t");
    let seconds = "select count(*) = extract(epoch from max(timestamp) - min(timestamp)) + 1,
                          count(*) > 15, max(viewers), max(ingress_kbps) > 500,
                          max(egress_kbps) > 500, count(distinct broadcast)
                   from stream_metrics";
    assert_eq!(stage.query(seconds).await, "t|t|1|t|t|1");
}
