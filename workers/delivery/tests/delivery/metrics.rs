//! Each second of each live stream: one row however many replicas run.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::postgres::metrics::{Second, StreamMetrics};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::live::{INGRESS, call_live, seconds};
use crate::support::{Replica, World, answer, until};

/// The seconds of a stream from `from` on.
async fn rows(table: &StreamMetrics, stream: &StreamId, from: u64) -> Vec<Second> {
    let from = i64::try_from(from).unwrap();
    table.range(stream, from, from + 600, 600).await.unwrap()
}

/// That there is every second from the first to the last, once.
fn assert_whole(rows: &[Second]) {
    let seconds: Vec<i64> = rows.iter().map(|row| row.at_s).collect();
    let (first, last) = (seconds.first().unwrap(), seconds.last().unwrap());
    assert_eq!(seconds, (*first..=*last).collect::<Vec<_>>());
}

/// What the autoscaler of the chart goes by, as Prometheus fetches it.
#[tokio::test]
async fn held_connections_are_on_the_administrators_listener() {
    let world = World::new();
    let replica = world.replica().await;
    let shown = async || {
        let url = format!("http://{}/metrics", replica.admin);
        let text = answer(replica.client.get(url)).await.text;
        let line =
            text.lines().find_map(|line| line.strip_prefix("millrace_delivery_connections "));
        line.map(str::to_owned)
    };
    assert_eq!(shown().await.as_deref(), Some("0"));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(replica.viewers).await.unwrap());
    }
    until(async || shown().await.as_deref() == Some("3")).await;
    held.pop();
    until(async || shown().await.as_deref() == Some("2")).await;
    drop(held);
    until(async || shown().await.as_deref() == Some("0")).await;
}

fn aggregates(replicas: &[&Replica]) -> i64 {
    replicas.iter().map(|replica| replica.metrics.aggregates.get()).sum()
}

#[tokio::test]
async fn two_replicas_make_one_row_a_second_with_the_sum_of_both() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let (one, two) = (world.replica().await, world.replica().await);
    let _live = call_live(&world, &world.stream, feed.info.broadcast);
    let begin = seconds();
    let segment = feed.path("720p", "0-1.m4s");
    let size = one.get(&segment).await.text.len() as u64;
    for _ in 0..9 {
        assert_eq!(two.get(&segment).await.status, 200);
    }
    let viewer = json!({"viewer": "a".repeat(32), "rendition": "720p", "stalls": 2,
        "droppedFrames": 7});
    let url = format!("http://{}{}/beacon", two.viewers, feed.stream_path());
    answer(two.client.post(url).body(viewer.to_string())).await;

    let table = world.tables().metrics;
    until(async || rows(&table, &world.stream, begin).await.len() >= 6).await;
    let rows = rows(&table, &world.stream, begin).await;
    assert_whole(&rows);
    assert_eq!(aggregates(&[&one, &two]), 1);
    let total = |of: fn(&Second) -> u64| rows.iter().map(of).sum::<u64>();
    let kbps = (size * 10 * 8 + 500) / 1_000;
    // Over one or more seconds, each of them rounded.
    assert!(total(|row| row.egress_kbps).abs_diff(kbps) <= 2, "{size}: {rows:?}");
    assert_eq!(total(|row| row.buffering_events), 2);
    assert_eq!(total(|row| row.dropped_frames), 7);
    let last = rows.last().unwrap();
    assert_eq!((last.viewers, last.quality.get(&"720p".parse().unwrap())), (1, Some(&1)));
    assert_eq!(last.ingress_kbps, INGRESS * 8 / 1_000);
    assert_eq!(last.broadcast, Some(feed.info.broadcast));

    let snapshot = world.origin().metrics.get_snapshot(&world.stream).await.unwrap().unwrap();
    assert_eq!((snapshot.data.concurrent_viewers, snapshot.broadcast), (1, last.broadcast));
}

#[tokio::test]
async fn what_a_replica_sent_last_is_counted_beside_the_second_before() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let (replica, store) = (world.replica().await, world.origin().metrics);
    let begin = seconds();
    // Redis forgets them after a few seconds.
    let mut seen = BTreeMap::new();
    let mut sent = async || {
        for second in begin..=seconds() {
            let streams = std::slice::from_ref(&world.stream);
            let counted = store.sums(streams, second).await.unwrap();
            let bytes = counted.iter().flat_map(|c| c.egress_bytes.values()).sum::<u64>();
            if bytes > 0 {
                seen.insert(second, bytes);
            }
        }
        seen.values().sum::<u64>()
    };
    let segment = feed.path("720p", "0-1.m4s");
    let size = replica.get(&segment).await.text.len() as u64;
    until(async || sent().await == size).await;
    assert_eq!(replica.get(&segment).await.status, 200);
    drop(replica);
    until(async || sent().await == 2 * size).await;
}

/// A replica in a process of its own.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn process(world: &World) -> Process {
    let child = Command::new(env!("CARGO_BIN_EXE_millrace-delivery"))
        .env_clear()
        .envs(world.variables(world.redis_url()))
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

#[tokio::test]
async fn when_the_holder_is_killed_another_goes_on_where_it_was() {
    let world = World::with_postgres().await;
    let feed = world.feed().await;
    let _live = call_live(&world, &world.stream, feed.info.broadcast);
    let begin = seconds();
    let holder = process(&world);
    let table = world.tables().metrics;
    until(async || rows(&table, &world.stream, begin).await.len() >= 2).await;
    let other = world.replica().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(other.metrics.aggregates.get(), 0);

    drop(holder);
    let killed = seconds();
    until(async || rows(&table, &world.stream, killed + 3).await.len() >= 2).await;
    assert_eq!(other.metrics.aggregates.get(), 1);
    assert_whole(&rows(&table, &world.stream, begin).await);
}

#[tokio::test]
async fn no_row_is_lost_when_postgres_vanishes_without_a_word() {
    let world = World::with_postgres().await;
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let _live = call_live(&world, &world.stream, feed.info.broadcast);
    let begin = seconds();
    let (wire, settings) = world.postgres_by_wire().await;
    let replica = world.replica_with(settings).await;
    let tables = world.tables();
    until(async || rows(&tables.metrics, &world.stream, begin).await.len() >= 2).await;
    let url = format!("http://{}{}/beacon", replica.viewers, feed.stream_path());
    let beacon = async |viewer: &str| {
        let body = json!({"viewer": viewer.repeat(32), "rendition": "720p"}).to_string();
        assert_eq!(answer(replica.client.post(&url).body(body)).await.status, 204);
    };
    beacon("a").await;
    until(async || tables.sessions().await.len() == 1).await;

    // While a statement is under way.
    let lock = tables.lock_metrics().await;
    wire.hush();
    drop(lock);
    let hushed = seconds();
    beacon("b").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(rows(&tables.metrics, &world.stream, hushed + 1).await.is_empty(), "it is there");

    // The connections that fell silent stay so.
    wire.mend();
    until(async || rows(&tables.metrics, &world.stream, hushed + 4).await.len() >= 2).await;
    until(async || tables.sessions().await.len() == 2).await;
    assert_whole(&rows(&tables.metrics, &world.stream, begin).await);
    assert_eq!(replica.metrics.rows_lost.get(), 0);
}

#[tokio::test]
async fn no_second_is_lost_while_postgres_is_away_and_snapshots_go_on() {
    let world = World::with_postgres().await;
    let feed = world.feed().await;
    let _live = call_live(&world, &world.stream, feed.info.broadcast);
    let begin = seconds();
    let (wire, settings) = world.postgres_by_wire().await;
    let (one, two) =
        (world.replica_with(settings.clone()).await, world.replica_with(settings).await);
    let table = world.tables().metrics;
    until(async || rows(&table, &world.stream, begin).await.len() >= 2).await;

    wire.cut();
    let cut = seconds();
    let store = world.origin().metrics;
    let second = async || {
        let snapshot = store.get_snapshot(&world.stream).await.unwrap();
        snapshot.map_or(0, |snapshot| snapshot.second)
    };
    until(async || second().await >= cut + 6).await;
    assert!(rows(&table, &world.stream, cut + 2).await.is_empty(), "Postgres was not away");

    wire.mend();
    until(async || rows(&table, &world.stream, cut + 8).await.len() >= 2).await;
    assert_whole(&rows(&table, &world.stream, begin).await);
    until(async || aggregates(&[&one, &two]) == 1).await;
    assert_eq!(one.metrics.rows_lost.get() + two.metrics.rows_lost.get(), 0);
    assert_eq!(one.metrics.seconds_missed.get() + two.metrics.seconds_missed.get(), 0);
}
