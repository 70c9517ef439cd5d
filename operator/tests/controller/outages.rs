//! Postgres, Kafka or Redis goes away while streams are at every stage of their
//! life, the operator is started again meanwhile, and the service comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use millrace_harness::server::{Kind, Server};
use millrace_operator::api::status::{LiveStreamStatus, Phase};
use serde_json::json;
use tokio::time::sleep;

use super::outside::Outside;
use super::servers::migrate;
use super::support::{Operator, World, condition};

/// What conditions say while a service is away, by the stage that a stream was
/// at when it went: `Condition=Reason`, with spaces between.
struct Expected {
    /// It was not there yet.
    new: &'static str,
    /// It had its children, and its pods were not ready.
    starting: &'static str,
    /// It was Ready, and its ladder's preset was changed.
    changed: &'static str,
    /// It was Ready, and its key was rotated.
    rotated: &'static str,
    /// It was Ready, and its log is to be kept for longer: its topic changes.
    longer: &'static str,
    /// It was Ready, and the operator was started again.
    restarted: &'static str,
}

const POSTGRES: Expected = Expected {
    // A topic that can't be registered is not made.
    new: "KeysReady=PostgresUnavailable TopicsReady=PostgresUnavailable CacheReady=CacheReady",
    // What was found in order is not asked for: the topics, and the keys for a minute.
    starting: "TopicsReady=TopicsReady IngestReady=PodReady",
    changed: "KeysReady=PostgresUnavailable UpdatePending=UpToDate",
    rotated: "KeysReady=PostgresUnavailable TopicsReady=TopicsReady",
    // It is registered: its topic is changed.
    longer: "KeysReady=PostgresUnavailable TopicsReady=TopicsReady",
    // What is there is found without the register.
    restarted: "KeysReady=PostgresUnavailable TopicsReady=TopicsReady CacheReady=CacheReady",
};

const KAFKA: Expected = Expected {
    new: "KeysReady=KeysReady TopicsReady=KafkaUnavailable CacheReady=CacheReady",
    // Where no record can be written, no publisher is accepted.
    starting: "TopicsReady=TopicsReady IngestReady=PodReady Ready=KafkaUnavailable",
    // Nobody knows whether it is live.
    changed: "TopicsReady=TopicsReady Live=KafkaUnavailable UpdatePending=WaitsForBroadcast",
    rotated: "KeysReady=KeysReady TopicsReady=TopicsReady Ready=KafkaUnavailable",
    longer: "KeysReady=KeysReady TopicsReady=KafkaUnavailable Ready=KafkaUnavailable",
    restarted: "KeysReady=KeysReady TopicsReady=KafkaUnavailable CacheReady=CacheReady",
};

const REDIS: Expected = Expected {
    // No stream needs its cache to be ready.
    new: "KeysReady=KeysReady TopicsReady=TopicsReady CacheReady=RedisUnavailable",
    starting: "Ready=Ready CacheReady=RedisUnavailable",
    changed: "Ready=Ready CacheReady=RedisUnavailable UpdatePending=UpToDate",
    rotated: "KeysReady=KeysReady CacheReady=RedisUnavailable",
    longer: "TopicsReady=TopicsReady CacheReady=RedisUnavailable",
    restarted: "KeysReady=KeysReady TopicsReady=TopicsReady CacheReady=RedisUnavailable",
};

pub(crate) fn says(expected: &'static str) -> impl Fn(&LiveStreamStatus) -> bool {
    move |status| {
        expected.split(' ').all(|one| {
            let (type_, reason) = one.split_once('=').unwrap();
            condition(status, type_).reason == reason
        })
    }
}

async fn presets(world: &World, stream: &str) -> Vec<String> {
    let api: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let which = ListParams::default().labels(&format!("millrace.dev/livestream={stream}"));
    let all = api.list(&which).await.unwrap().items;
    let specs = all.into_iter().filter_map(|one| one.spec?.template.spec);
    let containers = specs.flat_map(|spec| spec.containers);
    let env = containers.flat_map(|container| container.env.unwrap_or_default());
    env.filter(|one| one.name == "PRESET").filter_map(|one| one.value).collect()
}

/// A stream whose children are there, and whose pods are not said to be ready.
async fn start(world: &World, name: &str) {
    world.create(name, json!({ "broadcaster": "acme" })).await;
    let applied = |status: &LiveStreamStatus| {
        says("KeysReady=KeysReady TopicsReady=TopicsReady")(status)
            && condition(status, "IngestReady").reason == "PodStarting"
    };
    world.until(name, "applied", applied).await;
}

pub(crate) async fn children_of(world: &World, stream: &str) -> usize {
    let prefix = format!(" {stream}-");
    world.children().await.iter().filter(|child| child.contains(&prefix)).count()
}

/// Key ids in a stream's Secret.
async fn ids(world: &World, stream: &str) -> BTreeSet<String> {
    let keys = world.keys(stream).await.into_values();
    keys.map(|key| key.split_once('_').unwrap().0.to_owned()).collect()
}

/// Has a stream looked at again; whether it says by now that Redis is away.
async fn look_at(world: &World, stream: &str) -> bool {
    let note =
        json!({ "metadata": { "annotations": { "note": rand::random::<u32>().to_string() } } });
    world.patch(stream, note).await;
    // A stream that changes again within 200 ms is looked at later.
    sleep(Duration::from_millis(500)).await;
    says("CacheReady=RedisUnavailable")(&world.status(stream).await)
}

async fn operator(world: &World) -> Operator {
    let pace = [("SWEEP_AFTER_SECONDS", "10"), ("SWEEP_EVERY_SECONDS", "1")];
    let operator = world.start(&pace);
    operator.wait_ready().await;
    operator
}

async fn outage(kind: Kind, expected: Expected) {
    let Some(mut world) = World::shared().await else { return };
    let server = Server::new(kind).unwrap();
    match kind {
        Kind::Postgres => {
            world.servers.database = server.address();
            migrate(&world.servers.database);
        }
        Kind::Kafka => world.servers.kafka = server.address(),
        Kind::Redis => world.servers.redis = server.address(),
    }
    let (world, outside) = (&world, Outside::of(&world));
    let begun = operator(world).await;
    for name in ["changed", "rotated", "longer", "leaving", "starting"] {
        start(world, name).await;
    }
    for name in ["changed", "rotated", "longer", "leaving"] {
        world.ready(name).await;
    }
    outside.cache("leaving").await;

    server.stop().unwrap();
    let went = world.cluster.moment().await.unwrap();
    // Not before the operator says so: what a service said is believed for a while.
    match kind {
        Kind::Postgres => {}
        Kind::Kafka => {
            world.until("changed", "unknown", says("Live=KafkaUnavailable")).await;
        }
        Kind::Redis => world.eventually("noticed", || look_at(world, "changed")).await,
    }
    for name in ["new", "brief"] {
        world.create(name, json!({ "broadcaster": "acme" })).await;
        world.until(name, "waiting", says(expected.new)).await;
        world.eventually("applied", || async { children_of(world, name).await == 6 }).await;
    }
    let preset = json!({ "spec": { "transcode": { "preset": "medium" } } });
    world.patch("changed", preset).await;
    world.until("changed", "changed", says(expected.changed)).await;
    assert_eq!(presets(world, "changed").await, ["medium"]);
    let rotation =
        json!({ "spec": { "keys": [{ "name": "main", "rotation": 1, "overlap": "10m" }] } });
    world.patch("rotated", rotation).await;
    world.until("rotated", "rotated", says(expected.rotated)).await;
    assert_eq!(world.keys("rotated").await.len(), 2, "the Secret needs no service");
    world.patch("longer", json!({ "spec": { "ingest": { "replayWindow": "20m" } } })).await;
    world.until("longer", "waiting", says(expected.longer)).await;
    world.pods_ready("starting").await;
    world.until("starting", "ready for what it can", says(expected.starting)).await;
    for name in ["leaving", "brief"] {
        world.delete(name).await;
        world.eventually("gone", || async { children_of(world, name).await == 0 }).await;
    }
    begun.stop().await;
    let begun = operator(world).await;
    world.until("changed", "looked at again", says(expected.restarted)).await;
    world.until("new", "still waiting", says(expected.new)).await;
    let asked = world.cluster.requests(&world.account.user(), went).await.unwrap();
    assert!(asked.len() < 1_000, "{} requests: is there a hot loop?", asked.len());

    server.start().unwrap();
    let streams = ["new", "starting", "changed", "rotated", "longer"];
    for name in streams {
        world.ready(name).await;
    }
    let done = says("CacheReady=CacheReady UpdatePending=UpToDate Live=NoBroadcast");
    for name in streams {
        world.until(name, "as if nothing had been", &done).await;
        assert_eq!(outside.keys(name).await, ids(world, name).await, "{name}");
        assert_eq!(outside.has(name).await, ["keys", "row", "topic"].into(), "{name}");
    }
    assert!(outside.keeps("longer", Duration::from_mins(20)).await);
    assert_eq!(world.status("starting").await.phase, Some(Phase::Ready));
    for name in ["new", "longer"] {
        world.delete(name).await;
    }
    for name in ["leaving", "brief", "new", "longer"] {
        world.eventually("swept", || async { outside.has(name).await.is_empty() }).await;
    }
    assert_eq!(outside.has("changed").await, ["keys", "row", "topic"].into());
    begun.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_streams_wait_for_what_is_theirs_there() {
    outage(Kind::Postgres, POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_streams_wait_for_their_topics_only() {
    outage(Kind::Kafka, KAFKA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_streams_say_so_and_wait_for_nothing() {
    outage(Kind::Redis, REDIS).await;
}
