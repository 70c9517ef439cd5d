//! kill -9 of a worker, again and again, while somebody publishes and somebody watches.

use std::time::Duration;

use millrace_harness::counter;
use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::Source;
use millrace_harness::stack::Worker;
use tokio::time::Instant;

use crate::stage::{Stage, assert_sound, watch_for};

const NUMBERED: Source = Source::Numbered { fps: 30, first: 0 };

/// Publishes numbered pictures, crashes something ten times, and judges everything.
async fn ten_crashes(name: &str, crash: impl AsyncFn(&Stage)) {
    let stage = Stage::open(&Manifest::new(name)).await;
    let publisher = stage.publish_source(&NUMBERED);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    let mut waits = Vec::new();
    for _ in 0..10 {
        watch_for(&mut viewer, Duration::from_millis(2_500)).await;
        let killed = Instant::now();
        crash(&stage).await;
        watch_for(&mut viewer, Duration::from_millis(1)).await;
        waits.push(killed.elapsed().as_millis());
    }
    println!("ms from the kill to the next part: {waits:?}");
    watch_for(&mut viewer, Duration::from_secs(4)).await;
    publisher.stop().await;
    let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
    stage.close().await;

    assert_sound(&report);
    for rung in report.renditions.iter().filter(|rendition| rendition.video) {
        assert!(rung.segments.iter().all(|segment| segment.discontinuity == 0), "{}", rung.name);
    }
    let top = report.rendition("720p").unwrap();
    let seen = counter::read(top.file().unwrap()).await.unwrap();
    let expected: Vec<_> = (0..u32::try_from(seen.len()).unwrap()).map(Some).collect();
    let wrong = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
    assert_eq!(wrong, None, "of {} pictures", seen.len());
}

#[tokio::test]
async fn ten_crashes_of_the_transcoder_lose_and_double_no_picture() {
    ten_crashes("transcode-crashes", async |stage| {
        stage.stack.crash(Worker::Transcode).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn ten_crashes_of_the_encoder_lose_and_double_no_picture() {
    ten_crashes("encoder-crashes", async |stage| stage.kill_encoder()).await;
}

#[tokio::test]
async fn every_picture_published_is_in_the_top_rung_once() {
    let stage = Stage::open(&Manifest::new("numbered")).await;
    let publisher = stage.publish_source(&NUMBERED);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(12)).await;
    publisher.stop().await;
    let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
    stage.close().await;
    assert_sound(&report);
    let seen = counter::read(report.rendition("720p").unwrap().file().unwrap()).await.unwrap();
    let expected: Vec<_> = (0..u32::try_from(seen.len()).unwrap()).map(Some).collect();
    assert!(seen.len() >= 12 * 30, "{} pictures", seen.len());
    assert_eq!(seen, expected);
}
