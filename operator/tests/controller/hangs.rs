//! A service that takes what it is asked and says nothing. Streams that need it wait for it, and
//! no other one for them.

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use millrace_harness::proxy::{Mode, Proxy};
use millrace_harness::server::{Kind, Server};
use millrace_operator::api::status::LiveStreamStatus;
use serde_json::json;

use super::metrics::before_postgres;
use super::outages::says;
use super::support::{Operator, World, condition};

/// A Kafka and a proxy through which all its clients go.
async fn kafka_behind_a_proxy(world: &mut World) -> (Server, Proxy) {
    let kafka = Server::new(Kind::Kafka).unwrap();
    let proxy = Proxy::start(kafka.address().parse().unwrap()).await.unwrap();
    world.servers.kafka = proxy.address().to_string();
    let advertised = format!("advertised.listeners=PLAINTEXT://{}", proxy.address());
    kafka.restart_with(&advertised).unwrap();
    (kafka, proxy)
}

async fn has_a_port_of_nodes(world: &World, stream: &str) -> bool {
    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let its = ListParams::default().labels(&format!("millrace.dev/livestream={stream}"));
    let all = services.list(&its).await.unwrap().items;
    all.iter().any(|one| one.spec.as_ref().unwrap().type_.as_deref() == Some("NodePort"))
}

/// Reconciles that took so long that they have waited for a service: 3 s or more.
async fn that_waited(operator: &Operator) -> i64 {
    let quick = "operator_reconcile_duration_seconds_bucket{le=\"2.5\"}";
    let quick = operator.metric(quick).await;
    operator.metric("operator_reconcile_duration_seconds_count").await - quick
}

fn has_topics(status: &LiveStreamStatus) -> bool {
    condition(status, "TopicsReady").reason == "TopicsReady"
}

async fn hangs(world: &World, proxy: &Proxy, waits: &'static str) {
    let operator =
        world.start(&[("RECONCILE_CONCURRENCY", "2"), ("EXTERNAL_HOST", "nodes.example")]);
    operator.wait_ready().await;
    for name in ["changed", "leaving"] {
        world.create(name, json!({ "broadcaster": "acme" })).await;
        world.ready(name).await;
    }
    proxy.set(Mode::BlackHole);
    let names: Vec<_> = (0..20).map(|number| format!("s{number}")).collect();
    for name in &names {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    let node_port = json!({ "spec": { "ingest": { "service": { "type": "NodePort" } } } });
    world.patch("changed", node_port).await;
    world.delete("leaving").await;
    world.eventually("changed", || has_a_port_of_nodes(world, "changed")).await;
    let waited = that_waited(&operator).await;
    for name in &names {
        world.until(name, "waiting", says(waits)).await;
    }
    assert!((1..=8).contains(&waited), "{waited} reconciles waited");

    proxy.set(Mode::Pass);
    for name in &names {
        world.until(name, "with its topics", has_topics).await;
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_hangs_slows_no_stream_that_does_not_need_it() {
    let Some(mut world) = World::shared().await else { return };
    let (_kafka, proxy) = kafka_behind_a_proxy(&mut world).await;
    hangs(&world, &proxy, "KeysReady=KeysReady TopicsReady=KafkaUnavailable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_hangs_slows_no_stream_that_does_not_need_it() {
    let Some(mut world) = World::shared().await else { return };
    let proxy = before_postgres(&mut world).await;
    let waits = "KeysReady=PostgresUnavailable TopicsReady=PostgresUnavailable";
    hangs(&world, &proxy, waits).await;
}
