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

#[tokio::test]
async fn who_is_over_max_bitrate_is_told_so_and_who_is_below_stays() {
    let world = World::new().await;
    let ingest = world.ingest(&[("MAX_BITRATE_KBPS", "800"), ("TAKEOVER", "Always")]);
    // 1,000,000 bytes in ten seconds are allowed.
    for (bytes, stays) in [(20_000, true), (60_000, false)] {
        let mut publisher = live(&world, &ingest).await;
        let (start, mut number) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(11) {
            let kind: u8 = if number % 8 == 0 { 0x17 } else { 0x27 };
            let mut body = vec![0; bytes];
            body[..2].copy_from_slice(&[kind, 1]);
            publisher.video(number * 250, body).await;
            number += 1;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let refused = ingest.count("millrace_ingest_refused_total{reason=\"bitrate\"}").await;
        assert_eq!(refused, u64::from(!stays));
        if !stays {
            assert_eq!(publisher.status().await.as_deref(), Some("NetStream.Publish.Rejected"));
            ingest.line("The bitrate is above this stream's limit");
        }
    }
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
