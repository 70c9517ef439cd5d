//! Services that are away, and an API server that comes and goes.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use millrace_harness::server::{Kind, Server};
use millrace_operator::api::status::Phase;
use serde_json::json;

use super::support::{World, condition};

/// With one service of its own, which is away.
async fn without(kind: Kind, variable: &str, failing: (&str, &str)) {
    let Some(world) = World::shared().await else { return };
    let server = Server::new(kind).unwrap();
    let address = server.address();
    if kind == Kind::Postgres {
        migrate(&address).await;
    }
    server.stop().unwrap();
    let operator = world.start(&[(variable, &address)]);
    operator.wait_ready(&world.log()).await;

    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let reason = |status: &_| condition(status, failing.0).reason == failing.1;
    let status = world.until("keynote", failing.1, reason).await;
    assert_eq!(status.phase, Some(Phase::Pending));
    // What does not need it is there all the same.
    world.eventually("applied", || async { world.children().await.len() == 6 }).await;
    // It is no reason to keep a stream.
    world.create("gone", json!({ "broadcaster": "acme" })).await;
    world.until("gone", failing.1, reason).await;
    world.delete("gone").await;

    server.start().unwrap();
    world.ready("keynote").await;
    world.delete("keynote").await;
    world.eventually("without children", || async { world.children().await.is_empty() }).await;
    operator.stop().await;
}

async fn migrate(database: &str) {
    let migrated = tokio::process::Command::new(env!("CARGO_BIN_EXE_millrace-operator"))
        .arg("migrate")
        .env("DATABASE_URL", database)
        .output()
        .await
        .unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
}

#[tokio::test]
async fn without_postgres_streams_wait_for_their_keys_only() {
    without(Kind::Postgres, "DATABASE_URL", ("KeysReady", "PostgresUnavailable")).await;
}

#[tokio::test]
async fn without_kafka_streams_wait_for_their_topics_only() {
    without(Kind::Kafka, "KAFKA_BROKERS", ("TopicsReady", "KafkaUnavailable")).await;
}

#[tokio::test]
async fn without_redis_streams_say_so() {
    without(Kind::Redis, "REDIS_URL", ("CacheReady", "RedisUnavailable")).await;
}

#[tokio::test]
async fn an_api_server_that_restarts_is_waited_for_without_haste() {
    let Some(world) = World::own().await else { return };
    let mut operator = world.operator().await;
    world.create("before", json!({ "broadcaster": "acme" })).await;
    world.ready("before").await;
    let asked = world.cluster.moment().await.unwrap();
    world.cluster.stop_api_server().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.cluster.start_api_server().await.unwrap();

    // The operator may have gone on, or ended for its Lease and be started
    // again, as a kubelet does.
    tokio::time::sleep(Duration::from_secs(1)).await;
    if operator.has_ended() {
        operator = world.operator().await;
    }
    world.create("after", json!({ "broadcaster": "acme" })).await;
    world.ready("after").await;
    let requests = world.cluster.requests(&world.account.user(), asked).await.unwrap();
    assert!(requests.len() < 400, "{} requests", requests.len());
    operator.stop().await;
}

#[tokio::test]
async fn a_second_replica_takes_over_from_one_that_was_killed() {
    let Some(world) = World::shared().await else { return };
    let first = world.operator().await;
    let second = world.start(&[("POD_NAME", "second")]);
    world.create("before", json!({ "broadcaster": "acme" })).await;
    world.ready("before").await;
    assert_eq!(second.metric("operator_leader").await, 0);
    first.kill();
    let leads = || async { second.metric("operator_leader").await == 1 };
    world.eventually("led by the second", leads).await;
    world.create("after", json!({ "broadcaster": "acme" })).await;
    world.ready("after").await;
    second.stop().await;
}

/// A door to the API server through which every piece of either side takes a
/// fifth of a second.
async fn slow_door(url: &str) -> String {
    let server = url.trim_start_matches("https://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(server).await else { return };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::join!(slowly(from_client, to_server), slowly(from_server, to_client));
            });
        }
    });
    door
}

async fn slowly(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

#[tokio::test]
async fn through_a_slow_api_server_streams_become_ready_all_the_same() {
    let Some(world) = World::shared().await else { return };
    world.go_through(&slow_door(&world.cluster.url()).await);
    let begun = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    let names = ["one", "two", "three", "four"];
    for name in names {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    for name in names {
        world.ready(name).await;
    }
    for name in names {
        world.delete(name).await;
    }
    operator.stop().await;
    let requests = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    assert!(requests.len() < 100 * names.len(), "{} requests", requests.len());
}
