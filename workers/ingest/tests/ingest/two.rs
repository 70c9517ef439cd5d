//! Two ingest processes of one stream: the pod of a node that can't be reached
//! is replaced, and still has its publisher.

use std::time::{Duration, Instant};

use crate::support::publisher::Publisher;
use crate::support::{World, tell};
use millrace_media::record::{Body, End, EndReason, Record};

fn ended(records: &[Record]) -> bool {
    matches!(records.last(), Some(Record { body: Body::End(_), .. }))
}

#[tokio::test]
async fn a_second_process_ends_a_broadcast_only_when_no_frames_come_any_more() {
    let world = World::new().await;
    let first = world.ingest(&[]);
    let mut publisher = Publisher::connect(&first.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    assert_eq!(world.events(1).await, ["StreamStarted 1"]);
    let second = world.ingest(&[("RECONNECT_WINDOW_SECONDS", "3")]);
    second.line("an open broadcast waits for its publisher");
    // Several times the window.
    let start = Instant::now();
    let mut round = 1;
    while start.elapsed() < Duration::from_secs(10) {
        publisher.gops(round, 1).await;
        round += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let records = world.records().await;
    assert!(!tell(&records).iter().any(|word| word.contains("end")), "{:?}", tell(&records));
    assert_eq!(world.events(1).await, ["StreamStarted 1"]);
    first.kill();
    world.records_when(ended).await;
    let life = ["StreamStarted 1", "StreamInterrupted 1", "StreamEnded 1 reconnectWindow"];
    assert_eq!(world.events(3).await, life);
}

#[tokio::test]
async fn a_publisher_whose_epoch_was_overtaken_elsewhere_is_told_to_go() {
    let world = World::new().await;
    let (first, second) = (world.ingest(&[]), world.ingest(&[]));
    let mut publisher = Publisher::connect(&first.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    let _newer = Publisher::connect(&second.rtmp, &world.key.reveal()).await;
    publisher.gops(1, 1).await;
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Failed"));
    first.metric("millrace_ingest_refused_total{reason=\"overtaken\"} 1").await;
}

#[tokio::test]
async fn a_publisher_whose_broadcast_was_ended_elsewhere_is_told_to_go() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    let records = world.records_when(|r| r.len() > 10).await;
    let Some(Record { epoch, body: Body::Open(open) }) = records.first() else { panic!("no open") };
    let end = End { broadcast: open.broadcast, reason: EndReason::Administrator };
    world.append(&Record { epoch: *epoch, body: Body::End(end) }).await;
    publisher.gops(1, 1).await;
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Failed"));
    // The next one begins another broadcast.
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
}
