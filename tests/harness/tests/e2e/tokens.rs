//! A stream that not everybody may watch, from the manifest to a player, with
//! key and token made on the command line.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::ensure;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use tempfile::TempDir;

use crate::stage::{Stage, programs};

fn operator(arguments: &[&str]) -> String {
    let program = programs().join("millrace-operator");
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Reads 120 packets of it.
fn ffprobe(url: &str) -> Output {
    let seen =
        ["-read_intervals", "%+#120", "-show_entries", "packet=codec_type", "-of", "csv=p=0"];
    Command::new("ffprobe").args(["-v", "error"]).args(seen).arg(url).output().unwrap()
}

#[tokio::test]
async fn a_player_with_a_token_comes_through_to_the_pictures_and_one_without_does_not() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let key = operator(&["playback-key", "--kid", "site", "--stream", "tests.*"]);
    std::fs::write(path("key.json"), &key).unwrap();
    std::fs::write(path("keys.json"), format!("{{\"keys\":[{key}]}}")).unwrap();
    let manifest = Manifest { token: true, ..Manifest::new("tokens") };
    let environment = [("PLAYBACK_KEYS_FILE".to_owned(), path("keys.json"))];
    let stage = Stage::open_with(&manifest, &environment).await;
    let publisher = stage.publish();

    let file = path("key.json");
    let sign = |stream: &str| {
        operator(&["playback-token", "--key", &file, "--stream", stream, "--ttl", "5m"])
    };
    let url = |token: &str| format!("{}?token={token}", stage.endpoints().hls);
    let good = url(&sign(&manifest.stream_id()));
    let limit = Duration::from_mins(1);
    eventually("the playlist", limit, async || stage.http.text(&good).await).await.unwrap();
    // As long as no segment is whole, ffprobe sees nothing to read.
    eventually("the pictures", limit, async || {
        let (url, video) = (good.clone(), |line: &&str| line.contains("video"));
        let read = tokio::task::spawn_blocking(move || ffprobe(&url)).await?;
        let packets = String::from_utf8_lossy(&read.stdout);
        let said = String::from_utf8_lossy(&read.stderr);
        ensure!(packets.lines().filter(video).count() > 10, "{said} {packets}");
        ensure!(packets.contains("audio"), "{said} {packets}");
        Ok(())
    })
    .await
    .unwrap();

    for (url, status) in [
        (stage.endpoints().hls.clone(), 401),
        (url("x.y.z"), 401),
        (url(&sign("tests.other")), 403),
    ] {
        assert_eq!(stage.http.get(&url).await.unwrap().0.as_u16(), status, "{url}");
    }
    publisher.stop().await;
    let logs = stage.logs();
    let token = good.split('=').nth(1).unwrap();
    let parts: serde_json::Value = serde_json::from_str(&key).unwrap();
    assert!(!logs.contains(token) && !logs.contains(parts["k"].as_str().unwrap()));
    stage.close().await;
}
