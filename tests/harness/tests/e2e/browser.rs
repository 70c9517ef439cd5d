//! The player page in headless Chromium; tests/browser/player.mjs is the judge.

use std::process::Stdio;
use std::time::Duration;

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
    publisher.stop().await;
    stage.close().await;
}
