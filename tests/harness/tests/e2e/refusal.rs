//! Publishers who may not, as ffmpeg hears it.

use std::time::Duration;

use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::{Outcome, until_it_ends};

use crate::stage::{Stage, watch_for};

async fn attempt(stage: &Stage, url: &str, key: &str) -> Outcome {
    until_it_ends(stage.clip(), url, key, Duration::from_secs(20)).await.unwrap()
}

#[tokio::test]
async fn a_wrong_key_or_application_is_refused_with_a_reason_and_never_logged() {
    let stage = Stage::open_beside(&Manifest::new("refused")).await;
    let to = stage.endpoints().clone();
    let (id, secret) = to.key.split_once('_').unwrap();
    let turned: String = secret.chars().rev().collect();
    let wrong = [
        (to.rtmp.clone(), format!("{id}_{turned}")),
        (to.rtmp.clone(), format!("nobody_{turned}")),
        (to.rtmp.clone(), "garbage".to_owned()),
        (to.rtmp.replace("/live", "/elsewhere"), to.key.clone()),
    ];
    for (url, key) in &wrong {
        let outcome = attempt(&stage, url, key).await;
        assert!(!outcome.status.success(), "accepted {key} at {url}");
        assert!(outcome.said.contains("Server error:"), "no reason given: {}", outcome.said);
    }
    let logs = stage.logs();
    assert!(!logs.contains(secret) && !logs.contains(&turned), "a secret is in the logs");

    // The right one still works afterwards, from the same address.
    let publisher = stage.publish();
    stage.viewer().await;
    publisher.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_second_publisher_does_not_disturb_a_live_one() {
    let stage = Stage::open_beside(&Manifest::new("second")).await;
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    let before = viewer.media_url().to_owned();
    let to = stage.endpoints().clone();
    let outcome = attempt(&stage, &to.rtmp, &to.key).await;
    assert!(!outcome.status.success());
    watch_for(&mut viewer, Duration::from_secs(4)).await;
    assert_eq!(viewer.media_url(), before);
    let marks = viewer.playlist().segments.iter().filter(|segment| segment.discontinuity);
    assert_eq!(marks.count(), 0, "the live publisher was interrupted");
    publisher.stop().await;
    stage.close().await;
}
