//! What Postgres has of a broadcast: its row and the events that wait.

use millrace_media::record::{Body, Record};
use millrace_platform::postgres::broadcasts::{BroadcastFilter, BroadcastStatus};
use millrace_platform::postgres::page::PageRequest;

use crate::support::World;
use crate::support::gate::Gate;
use crate::support::publisher::Publisher;

/// A picture is in the log, and what is there is so many connections'.
fn pictures(records: &[Record], epoch: u64) -> bool {
    let picture = |r: &Record| matches!(&r.body, Body::Frame(f) if f.keyframe && !f.config);
    records.iter().any(|r| r.epoch.0 == epoch && picture(r))
}

fn ended(records: &[Record]) -> bool {
    matches!(records.last(), Some(Record { body: Body::End(_), .. }))
}

/// Postgres has said yes to the key once, and it is remembered.
async fn remember_the_key(world: &World) {
    let ingest = world.ingest(&[]);
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await.unpublish().await;
    assert_eq!(world.events(1).await, ["StreamFailed 1 noMedia"]);
}

const LIFE: [&str; 5] = [
    "StreamFailed 1 noMedia",
    "StreamStarted 2",
    "StreamInterrupted 2",
    "StreamResumed 3",
    "StreamEnded 3 unpublished",
];

/// One broadcast with two publisher connections, the first lost.
async fn publish_a_life(world: &World, ingest: &crate::support::Ingest) {
    let mut lost = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    lost.configs().await;
    lost.gops(0, 1).await;
    world.records_when(|r| pictures(r, 2)).await;
    drop(lost);
    ingest.line("interrupted");
    let mut back = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    back.configs().await;
    back.gops(0, 1).await;
    world.records_when(|r| pictures(r, 3)).await;
    back.unpublish().await;
    world.records_when(ended).await;
}

#[tokio::test]
async fn the_life_of_a_broadcast_is_told_by_events_and_one_without_a_picture_failed() {
    let world = World::new().await;
    remember_the_key(&world).await;
    let ingest = world.ingest(&[]);
    publish_a_life(&world, &ingest).await;
    assert_eq!(world.events(5).await, LIFE);
    let filter = BroadcastFilter::default();
    let rows = world.broadcasts.list(&filter, PageRequest::default()).await.unwrap();
    let states: Vec<_> = rows.items.iter().map(|row| row.status).collect();
    assert_eq!(states, [BroadcastStatus::Ended, BroadcastStatus::Error]);
}

#[tokio::test]
async fn what_happens_while_postgres_is_away_is_told_when_it_is_back() {
    let world = World::new().await;
    remember_the_key(&world).await;
    let (gate, url) = Gate::of_postgres(&world).await;
    let ingest = world.ingest(&[("DATABASE_URL", &url)]);
    publish_a_life(&world, &ingest).await;
    assert_eq!(world.events(1).await.len(), 1);
    gate.open();
    assert_eq!(world.events(5).await, LIFE);
}

#[tokio::test]
async fn what_a_killed_process_could_not_write_is_written_by_the_next() {
    let world = World::new().await;
    remember_the_key(&world).await;
    let (_closed, url) = Gate::of_postgres(&world).await;
    let ingest = world.ingest(&[("DATABASE_URL", &url)]);
    publish_a_life(&world, &ingest).await;
    ingest.kill();
    let _next = world.ingest(&[]);
    // It knows only what the end of the log says.
    let told = world.events(3).await;
    assert_eq!(told, ["StreamFailed 1 noMedia", "StreamStarted 3", "StreamEnded 3 unpublished"]);
    let page = PageRequest { limit: 1, after: None };
    let rows = world.broadcasts.list(&BroadcastFilter::default(), page).await.unwrap();
    assert_eq!(rows.items[0].status, BroadcastStatus::Ended);
}

#[tokio::test]
async fn a_new_process_tells_that_the_publisher_of_a_killed_one_is_lost() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    assert_eq!(world.events(1).await, ["StreamStarted 1"]);
    ingest.kill();
    let _next = world.ingest(&[]);
    assert_eq!(world.events(2).await, ["StreamStarted 1", "StreamInterrupted 1"]);
}

#[tokio::test]
async fn a_schema_that_is_too_old_shows_in_health_and_stops_no_publisher() {
    let world = World::new().await;
    remember_the_key(&world).await;
    // The server's own database, which nobody migrates.
    let empty = crate::support::variable("TEST_DATABASE_URL");
    let ingest = world.ingest(&[("DATABASE_URL", &empty)]);
    ingest.line("run the migrations");
    Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    let (_, body) = ingest.get("/health/ready").await;
    assert!(body.contains("is at version 0"), "{body}");
}

#[tokio::test]
async fn a_new_process_tells_that_a_killed_ones_broadcast_had_no_picture() {
    let world = World::new().await;
    let (_closed, url) = Gate::of_postgres(&world).await;
    remember_the_key(&world).await;
    let ingest = world.ingest(&[("DATABASE_URL", &url)]);
    let mut publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    world.records_when(|r| r.len() > 3).await;
    ingest.kill();
    // It ends without a row; the last process has only the log.
    let next = world.ingest(&[("DATABASE_URL", &url), ("RECONNECT_WINDOW_SECONDS", "1")]);
    next.line("no publisher came back");
    world.records_when(ended).await;
    next.kill();
    let _next = world.ingest(&[]);
    let told = world.events(2).await;
    assert_eq!(told, ["StreamFailed 1 noMedia", "StreamFailed 2 noMedia"]);
}

#[tokio::test]
async fn a_broadcast_without_a_picture_fails_although_its_ingest_was_killed() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let _publisher = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    world.records_when(|r| !r.is_empty()).await;
    ingest.kill();
    let _next = world.ingest(&[("RECONNECT_WINDOW_SECONDS", "1")]);
    assert_eq!(world.events(1).await, ["StreamFailed 1 noMedia"]);
}
