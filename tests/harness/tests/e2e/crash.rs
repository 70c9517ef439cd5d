//! kill -9 of the transcoder, again and again, while a publisher publishes and somebody watches.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use bytes::Bytes;
use millrace_harness::http::Http;
use millrace_harness::manifest::Manifest;
use millrace_harness::playlist::resolve;
use millrace_harness::stack::Worker;
use millrace_harness::viewer::Viewer;
use tokio::time::Instant;

use crate::stage::{Stage, watch_for};
use crate::watch::{PICTURE, Rendition, assert_even, times};

/// Every part a viewer was told of, as it was when first fetched.
#[derive(Default)]
struct Kept(HashMap<String, Bytes>);

impl Kept {
    async fn fetch(&mut self, http: &Http, viewer: &Viewer) {
        let playlist = viewer.playlist();
        let complete = playlist.segments.iter().flat_map(|segment| &segment.parts);
        for part in complete.chain(&playlist.open_parts) {
            let url = resolve(viewer.media_url(), &part.uri).unwrap();
            if let Entry::Vacant(new) = self.0.entry(url) {
                let bytes = http.bytes(new.key()).await.unwrap();
                new.insert(bytes);
            }
        }
    }
}

#[tokio::test]
async fn ten_crashes_of_the_transcoder_lose_and_double_no_picture() {
    let stage = Stage::open(&Manifest::new("crashes")).await;
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    let mut kept = Kept::default();
    let mut waits = Vec::new();
    for _ in 0..10 {
        watch_for(&mut viewer, Duration::from_millis(2_500)).await;
        kept.fetch(&stage.http, &viewer).await;
        let killed = Instant::now();
        stage.stack.crash(Worker::Transcode).await.unwrap();
        watch_for(&mut viewer, Duration::from_millis(1)).await;
        waits.push(killed.elapsed().as_millis());
    }
    println!("ms from the kill to the next part: {waits:?}");
    watch_for(&mut viewer, Duration::from_secs(6)).await;

    for (url, before) in &kept.0 {
        let (status, now) = stage.http.get(url).await.unwrap();
        // Parts go when their segment is a minute old.
        if status.is_success() {
            assert_eq!(now, before, "{url} changed its bytes");
        }
    }
    let mut first_msn = None;
    for rendition in Rendition::all(&stage.http, &stage.endpoints().hls).await {
        let list = &rendition.playlist;
        let expected = *first_msn.get_or_insert(list.first_msn);
        assert_eq!(list.first_msn, expected, "{}", rendition.uri);
        for segment in &list.segments {
            assert!(!segment.gap && !segment.discontinuity, "{} {}", rendition.uri, segment.uri);
        }
        if rendition.resolution.is_some() {
            assert_even(&times(&rendition.probe().await.packets), PICTURE);
        }
    }
    publisher.stop().await;
    stage.close().await;
}
