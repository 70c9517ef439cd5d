//! Each setting that a LiveStream's `ingest` becomes, seen in a running process.
//! `RECONNECT_WINDOW_SECONDS` is in [`crate::publishing`], and `IfSilent`, the
//! default of `TAKEOVER`, too.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::publisher::{Answer, Publisher};
use crate::support::{Ingest, World, tell};
use millrace_media::record::Record;

async fn live(world: &World, ingest: &Ingest) -> Publisher {
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher
}

fn has(word: &'static str) -> impl Fn(&[Record]) -> bool {
    move |records| tell(records).iter().any(|w| w == word)
}

/// Publishes four pictures a second of so many bytes, for a little longer than
/// the bitrate is averaged over.
async fn publish_at(publisher: &mut Publisher, bytes: usize) {
    let (start, mut number) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(11) {
        let mut body = vec![0; bytes];
        body[..2].copy_from_slice(&[if number % 8 == 0 { 0x17 } else { 0x27 }, 1]);
        publisher.video(number * 250, body).await;
        number += 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

const LIMIT: (&str, &str) = ("MAX_BITRATE_KBPS", "800");
const REFUSED: &str = "millrace_ingest_refused_total{reason=\"bitrate\"}";

#[tokio::test]
async fn who_is_over_max_bitrate_is_told_so() {
    let world = World::new().await;
    let ingest = world.ingest(&[LIMIT]);
    let mut publisher = live(&world, &ingest).await;
    publish_at(&mut publisher, 60_000).await;
    assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Rejected"));
    ingest.line("The bitrate is above this stream's limit");
    assert_eq!(ingest.count(REFUSED).await, 1);
}

#[tokio::test]
async fn who_is_below_max_bitrate_stays() {
    let world = World::new().await;
    let ingest = world.ingest(&[LIMIT]);
    let mut publisher = live(&world, &ingest).await;
    publish_at(&mut publisher, 20_000).await;
    publisher.gops(60, 1).await;
    ingest.metric("millrace_ingest_publishers 1").await;
    assert_eq!(ingest.count(REFUSED).await, 0);
}

#[tokio::test]
async fn takeover_always_gives_the_seat_of_a_live_publisher_to_the_next() {
    let world = World::new().await;
    let ingest = world.ingest(&[("TAKEOVER", "Always")]);
    let mut first = live(&world, &ingest).await;
    first.gops(0, 1).await;
    world.records_when(has("1 video key")).await;
    let mut second = live(&world, &ingest).await;
    assert_eq!(first.status().await.as_deref(), Some("NetStream.Publish.BadName"));
    second.gops(0, 1).await;
    world.records_when(has("2 video key")).await;
}

#[tokio::test]
async fn takeover_never_leaves_the_seat_even_to_a_silent_publisher() {
    let world = World::new().await;
    let ingest = world.ingest(&[("TAKEOVER", "Never")]);
    let mut first = live(&world, &ingest).await;
    // Longer than what counts as silent.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        match Publisher::ask(&ingest.rtmp, "live", &world.key.reveal()).await {
            Answer::Refused(code) => assert_eq!(code, "NetStream.Publish.BadName"),
            Answer::Accepted(_) => panic!("two publishers"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    first.gops(0, 1).await;
    world.records_when(has("1 video key")).await;
}
