//! dash.js in headless Chromium; tests/browser/dash.mjs is the judge.

use std::process::Stdio;
use std::time::Duration;

use millrace_harness::manifest::Manifest;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::browser::command;
use crate::stage::Stage;

#[tokio::test]
async fn dash_js_plays_near_the_edge_changes_rungs_and_survives_a_reconnect_and_the_end() {
    let manifest = Manifest {
        ladder: vec![("180p", 180, 300), ("360p", 360, 600)],
        reconnect_window: 20,
        ..Manifest::new("dash")
    };
    let stage = Stage::open(&manifest).await;
    let mut publisher = Some(stage.publish());
    stage.viewer().await;
    let hls = &stage.endpoints().hls;
    let url = hls.replace("/hls/", "/dash/").replace("/index.m3u8", "/manifest.mpd");
    let mut judge = command(&stage, "dash.mjs", &["--url", &url]);
    let mut judge = judge.stdout(Stdio::piped()).spawn().expect("node runs");
    let mut lines = BufReader::new(judge.stdout.take().unwrap()).lines();
    let follow = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            println!("{line}");
            match line.as_str() {
                "reconnect" => {
                    publisher.take().unwrap().kill();
                    publisher = Some(stage.publish());
                }
                "end" => publisher.take().unwrap().stop().await,
                _ => {}
            }
        }
        judge.wait().await.unwrap()
    };
    let status = timeout(Duration::from_mins(4), follow).await.expect("the browser came to an end");
    assert!(status.success(), "dash.mjs says above what is wrong");
    stage.close().await;
}
