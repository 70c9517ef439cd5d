//! kill -9 of a worker, again and again, while somebody publishes and somebody watches.

use std::time::Duration;

use anyhow::ensure;
use millrace_harness::counter;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::Source;
use millrace_harness::stack::Worker;
use millrace_harness::viewer::Viewer;
use tokio::time::Instant;

use crate::stage::{Stage, assert_sound, watch_for};

const NUMBERED: Source = Source::Numbered { fps: 30, first: 0 };
const LONG: Duration = Duration::from_mins(1);

/// Publishes numbered pictures, does something to the workers while somebody watches, and judges
/// everything.
pub(crate) async fn no_picture_is_lost(
    manifest: &Manifest,
    act: impl AsyncFn(&Stage, &mut Viewer),
) {
    let stage = Stage::open(manifest).await;
    let publisher = stage.publish_source(&NUMBERED);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    act(&stage, &mut viewer).await;
    watch_for(&mut viewer, Duration::from_secs(4)).await;
    publisher.stop().await;
    let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
    stage.close().await;

    assert_sound(&report);
    for rung in report.renditions.iter().filter(|rendition| rendition.video) {
        println!("nothing new in {} for {} ms at most", rung.name, rung.longest_wait().as_millis());
        assert!(rung.segments.iter().all(|segment| segment.discontinuity == 0), "{}", rung.name);
        let seen = counter::read(rung.file().unwrap()).await.unwrap();
        let expected: Vec<_> = (0..u32::try_from(seen.len()).unwrap()).map(Some).collect();
        let wrong = seen.iter().zip(&expected).find(|(seen, expected)| seen != expected);
        assert_eq!(wrong, None, "of {} pictures of {}", seen.len(), rung.name);
    }
}

/// Crashes something ten times.
async fn ten_crashes(name: &str, crash: impl AsyncFn(&Stage)) {
    no_picture_is_lost(&Manifest::new(name), async |stage, viewer| {
        let mut waits = Vec::new();
        for _ in 0..10 {
            watch_for(viewer, Duration::from_millis(2_500)).await;
            let killed = Instant::now();
            crash(stage).await;
            watch_for(viewer, Duration::from_millis(1)).await;
            waits.push(killed.elapsed().as_millis());
        }
        println!("ms from the kill to the next part: {waits:?}");
    })
    .await;
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
async fn two_transcoders_that_take_the_stream_from_each_other_lose_and_double_no_picture() {
    no_picture_is_lost(&Manifest::new("two-transcoders"), async |stage, viewer| {
        for _ in 0..3 {
            watch_for(viewer, Duration::from_secs(2)).await;
            let first = stage.stack.pid(Worker::Transcode).unwrap();
            let mut other = stage.stack.start_beside(Worker::Transcode).unwrap();
            // It takes the stream from the first, which ends for it, is started again, and takes it
            // back.
            let taken = eventually("the stream to be taken twice", LONG, async || {
                ensure!(other.try_wait()?.is_some(), "the other one still has it");
                Ok(())
            });
            taken.await.unwrap();
            assert_ne!(stage.stack.pid(Worker::Transcode).unwrap(), first);
        }
    })
    .await;
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
