//! A publisher who goes away, and comes back soon, or late, or says goodbye.

use std::time::Duration;

use anyhow::ensure;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::playlist::Media;
use millrace_harness::viewer::Viewer;

use crate::stage::{Stage, assert_sound, watch_for};

fn manifest(name: &str) -> Manifest {
    Manifest { reconnect_window: 6, ..Manifest::new(name) }
}

pub(crate) async fn playlist(stage: &Stage, url: &str) -> anyhow::Result<Media> {
    Media::parse(&stage.http.text(url).await?)
}

pub(crate) async fn until_ended(stage: &Stage, url: &str) {
    eventually("EXT-X-ENDLIST", Duration::from_secs(40), async || {
        ensure!(playlist(stage, url).await?.ended, "still open");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn back_within_the_window_is_the_same_broadcast_after_a_marked_discontinuity() {
    let stage = Stage::open(&manifest("back-soon")).await;
    let publisher = stage.publish();
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(5)).await;
    let before = viewer.media_url().to_owned();

    publisher.kill();
    let publisher = stage.publish();
    watch_for(&mut viewer, Duration::from_secs(8)).await;
    assert_eq!(viewer.media_url(), before, "another broadcast");
    let report = recorder.stop().await.unwrap();
    publisher.stop().await;
    stage.close().await;

    assert_sound(&report);
    for rendition in &report.renditions {
        let marks: Vec<u64> =
            rendition.segments.iter().map(|segment| segment.discontinuity).collect();
        assert_eq!((marks[0], marks[marks.len() - 1]), (0, 1), "{}: {marks:?}", rendition.name);
    }
}

#[tokio::test]
async fn after_the_window_it_ends_and_a_new_broadcast_takes_its_index() {
    let stage = Stage::open_beside(&manifest("back-late")).await;
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(5)).await;
    let first = viewer.media_url().to_owned();

    publisher.kill();
    until_ended(&stage, &first).await;

    let publisher = stage.publish();
    let second = eventually("a new broadcast", Duration::from_mins(1), async || {
        let viewer = Viewer::join(&stage.http, &stage.endpoints().hls).await?;
        ensure!(viewer.media_url() != first, "still the old one");
        viewer.decode().await?;
        Ok(viewer)
    })
    .await
    .unwrap();
    assert!(playlist(&stage, &first).await.unwrap().ended, "the old playlist is final");
    assert!(!second.playlist().ended);
    publisher.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_publisher_who_says_goodbye_ends_the_broadcast_before_the_window() {
    let stage =
        Stage::open_beside(&Manifest { reconnect_window: 600, ..Manifest::new("goodbye") }).await;
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(3)).await;
    publisher.stop().await;
    until_ended(&stage, viewer.media_url()).await;
    stage.close().await;
}
