//! Kafka or Postgres away.

use std::time::{Duration, Instant};

use millrace_harness::server::{Kind, Server};

use crate::support::{PATIENCE, Running, World, variable};

async fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn holds(relay: &Running) {
    until("the relay holds its place", || relay.metrics.holds.get() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_events_wait_are_counted_and_follow_in_order() {
    let kafka = Server::new(Kind::Kafka).unwrap();
    let world = World::on(&variable("TEST_DATABASE_URL"), &kafka.address()).await;
    let relay = world.relay();
    world.append("events.a", 0..100).await;
    world.follower().until(100);
    kafka.stop().unwrap();
    for round in 1..20 {
        world.append("events.a", round * 100..(round + 1) * 100).await;
    }
    until("they are counted", || relay.metrics.backlog.get() >= 1_900).await;
    until("they get old", || relay.metrics.oldest.get() >= 1).await;
    kafka.start().unwrap();
    let mut follower = world.follower();
    follower.until(2_000);
    assert_eq!(follower.numbers("events.a"), (0..2_000).collect::<Vec<_>>());
    world.drained().await;
    until("none waits", || relay.metrics.backlog.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_postgres_was_away_the_relay_goes_on() {
    let postgres = Server::new(Kind::Postgres).unwrap();
    let world = World::on(&postgres.address(), &variable("TEST_KAFKA_BROKERS")).await;
    let relay = world.relay();
    world.append("events.a", 0..100).await;
    holds(&relay).await;
    postgres.stop().unwrap();
    until("the place is lost", || relay.metrics.holds.get() == 0).await;
    postgres.start().unwrap();
    let mut follower = world.follower();
    holds(&relay).await;
    // The pool of the test has to find out too.
    while world.database.ping().await.is_err() {}
    world.append("events.a", 100..200).await;
    follower.until(200);
    assert_eq!(follower.numbers("events.a"), (0..200).collect::<Vec<_>>());
}
