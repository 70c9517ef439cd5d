//! A broadcast that somebody else ends in the log.

use millrace_media::id::BroadcastId;

use crate::publishing::{opens, wait_for_status};
use crate::support::publisher::Publisher;
use crate::support::{World, tell};

/// Publishes until there is a picture; who publishes, and what.
async fn on_air(world: &World, rtmp: &str) -> (Publisher, BroadcastId) {
    let mut publisher = Publisher::connect(rtmp, &world.key.reveal()).await;
    publisher.configs().await;
    publisher.gops(0, 1).await;
    let records = world.records_when(|r| r.len() > 5).await;
    let broadcast = opens(&records)[0].broadcast;
    wait_for_status(world, broadcast, "Active").await;
    (publisher, broadcast)
}

async fn assert_ended(world: &World, broadcast: BroadcastId) {
    wait_for_status(world, broadcast, "Ended").await;
    let row = world.broadcasts.find(broadcast).await.unwrap().unwrap();
    assert_eq!(row.end_reason.as_deref(), Some("administrator"));
    assert!(!world.endings().end(&world.stream, broadcast).await.unwrap());
}

#[tokio::test]
async fn its_publisher_is_cut_off_and_the_next_one_begins_another() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let (mut publisher, broadcast) = on_air(&world, &ingest.rtmp).await;
    assert!(world.endings().end(&world.stream, broadcast).await.unwrap());
    // It is seen among what comes after it.
    let status = async {
        for group in 1.. {
            publisher.gops(group, 1).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            if ingest.log().contains("ended by another") {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), status).await.unwrap();
    assert_ended(&world, broadcast).await;

    let _next = Publisher::connect(&ingest.rtmp, &world.key.reveal()).await;
    let records = world.records_when(|r| opens(r).len() == 2).await;
    assert_ne!(opens(&records)[1].broadcast, broadcast);
    assert!(tell(&records).contains(&"1 end Administrator".to_owned()));
}

#[tokio::test]
async fn one_that_waits_for_its_publisher_is_over_at_once() {
    let world = World::new().await;
    let ingest = world.ingest(&[("RECONNECT_WINDOW_SECONDS", "3600")]);
    let (publisher, broadcast) = on_air(&world, &ingest.rtmp).await;
    drop(publisher);
    ingest.line("interrupted");
    assert!(world.endings().end(&world.stream, broadcast).await.unwrap());
    assert_ended(&world, broadcast).await;
}

#[tokio::test]
async fn one_whose_ingest_is_away_is_over_when_that_is_back() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let (_publisher, broadcast) = on_air(&world, &ingest.rtmp).await;
    ingest.kill();
    assert!(world.endings().end(&world.stream, broadcast).await.unwrap());
    let _ingest = world.ingest(&[]);
    assert_ended(&world, broadcast).await;
}

#[tokio::test]
async fn one_that_the_log_does_not_know_is_not_ended() {
    let world = World::new().await;
    let ingest = world.ingest(&[]);
    let (_publisher, broadcast) = on_air(&world, &ingest.rtmp).await;
    let other = BroadcastId(uuid::Uuid::now_v7());
    assert!(!world.endings().end(&world.stream, other).await.unwrap());
    let records = world.records().await;
    assert!(!tell(&records).iter().any(|word| word.contains("end")), "{broadcast}");
}
