//! An administrator ends a broadcast by the API.

use std::time::Duration;

use anyhow::ensure;
use millrace_harness::http::{Http, eventually};
use millrace_harness::manifest::Manifest;
use serde_json::Value;

use crate::stage::Stage;

#[tokio::test]
async fn a_broadcast_ended_by_the_api_is_over_for_viewers_and_in_the_record() {
    let stage = Stage::open_beside(&Manifest::new("ended")).await;
    let publisher = stage.publish();
    let viewer = stage.viewer().await;
    let to = stage.endpoints().clone();
    let api = Http::new().unwrap().with_token(&to.token);
    let status: Value = api.json(&to.status_url()).await.unwrap();
    assert_eq!(status["state"], "live", "{status}");
    let broadcast = status["broadcast"].as_str().unwrap().to_owned();

    let url = format!("{}/broadcasts/{broadcast}/end", to.status_url());
    let end = async || reqwest::Client::new().post(&url).bearer_auth(&to.token).send().await;
    let ended = eventually("the broadcast's row", Duration::from_secs(30), async || {
        let answer = end().await?;
        ensure!(answer.status() != 404, "not yet");
        Ok(answer)
    })
    .await
    .unwrap();
    assert_eq!(ended.status(), 202, "{}", ended.text().await.unwrap());

    let http = Http::new().unwrap();
    eventually("the end of the playlist", Duration::from_secs(30), async || {
        let playlist = http.text(viewer.media_url()).await?;
        ensure!(playlist.contains("#EXT-X-ENDLIST"), "{playlist}");
        Ok(())
    })
    .await
    .unwrap();
    let row = format!("SELECT status || ' ' || end_reason FROM streams WHERE id = '{broadcast}'");
    eventually("the end of the row", Duration::from_secs(30), async || {
        let row = stage.query(&row).await;
        ensure!(row == "ENDED administrator", "{row}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(end().await.unwrap().status(), 409);

    eventually("the events of it", Duration::from_secs(30), async || {
        let events: Value = api.json(&format!("{}/events", to.status_url())).await?;
        // The newest first. Ingest tells of the end, transcode of segments: neither waits for the other.
        let mine = events["items"].as_array().into_iter().flatten();
        let mine = mine.filter(|event| event["data"]["broadcast"] == broadcast.as_str());
        let kinds: Vec<&str> = mine.filter_map(|event| event["type"].as_str()).collect();
        let at = |kind: &str| kinds.iter().position(|one| *one == kind);
        let (end, start) = (at("dev.millrace.StreamEnded"), at("dev.millrace.StreamStarted"));
        ensure!(end.is_some() && start > end, "{events}");
        Ok(())
    })
    .await
    .unwrap();
    let logs = stage.logs();
    let audit: Vec<&str> = logs.lines().filter(|line| line.contains(" audit: ")).collect();
    assert!(
        audit.iter().any(|line| line.contains(&broadcast) && line.contains("done")),
        "{audit:?}"
    );
    assert!(!logs.contains(&to.token), "a token is in the logs");
    publisher.stop().await;
    stage.close().await;
}
