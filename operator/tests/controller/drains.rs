//! A node is drained under a live stream.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use millrace_operator::api::status::{LiveStreamStatus, Phase};
use serde_json::json;

use super::live::{is_kept, publisher};
use super::node::{Node, allows, evict, ingest_pod};
use super::publisher::Publisher;
use super::support::{Operator, World, condition};

/// A live stream on a node of its own.
async fn live(world: &World, drain_timeout: &str) -> (Operator, Node, Publisher) {
    let operator = world.start(&[("DRAIN_TIMEOUT_SECONDS", drain_timeout)]);
    operator.wait_ready().await;
    let node = Node::new(world).await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    node.takes_ingest(world).await;
    let mut publisher = publisher(world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    world.until_phase("keynote", Phase::Live).await;
    world.eventually("kept", || is_kept(world)).await;
    (operator, node, publisher)
}

fn ingest(reason: &'static str) -> impl Fn(&LiveStreamStatus) -> bool {
    move |status| condition(status, "IngestReady").reason == reason
}

async fn is_open(world: &World) -> bool {
    !is_kept(world).await
}

#[tokio::test]
async fn a_drain_waits_for_its_time_and_then_the_pod_of_a_publisher_may_go() {
    let Some(world) = World::shared().await else { return };
    let (operator, node, _publisher) = live(&world, "3").await;
    let pod = ingest_pod(&world).await;
    allows(&world, 0).await;
    assert_eq!(evict(&world, &pod).await, 429);

    let cordoned = Timestamp::now();
    node.cordon().await;
    world.until("keynote", "evictable", ingest("EvictionAllowed")).await;
    // Times of taints have whole seconds.
    let waited = Timestamp::now().duration_since(cordoned);
    assert!(waited.as_secs() >= 2, "{waited:?}");
    assert!(is_open(&world).await);
    let events: Api<Event> = Api::namespaced(world.client(), world.streams.name());
    world
        .eventually("told", || async {
            let all = events.list(&ListParams::default()).await.unwrap();
            all.items.iter().any(|event| event.reason.as_deref() == Some("EvictionAllowed"))
        })
        .await;
    allows(&world, 1).await;
    assert_eq!(evict(&world, &pod).await, 201);

    // The next pod is on no such node.
    world.eventually("kept", || is_kept(&world)).await;
    world.eventually("another pod", || async { ingest_pod(&world).await != pod }).await;
    world.pods_ready("keynote").await;
    world.until("keynote", "ready", ingest("PodReady")).await;
    assert!(is_kept(&world).await);
    operator.stop().await;
    node.delete().await;
}

#[tokio::test]
async fn the_time_counts_from_the_cordon_and_an_uncordon_ends_it() {
    let Some(world) = World::shared().await else { return };
    let (operator, node, _publisher) = live(&world, "3600").await;
    node.cordon().await;
    let status = world.until("keynote", "draining", ingest("NodeDraining")).await;
    let message = &condition(&status, "IngestReady").message;
    assert!(message.contains("node-") && message.contains("until 20"), "{message}");
    assert!(is_kept(&world).await);
    node.uncordon().await;
    world.until("keynote", "not draining", ingest("PodReady")).await;

    // As an operator finds it that was away.
    operator.stop().await;
    let hours_ago = Timestamp::from_second(Timestamp::now().as_second() - 7_200).unwrap();
    let taint = json!({
        "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": hours_ago,
    });
    node.spec(json!({ "unschedulable": true, "taints": [taint] })).await;
    let operator = world.start(&[("DRAIN_TIMEOUT_SECONDS", "3600")]);
    operator.wait_ready().await;
    world.until("keynote", "evictable", ingest("EvictionAllowed")).await;
    assert!(is_open(&world).await);

    node.uncordon().await;
    world.eventually("kept", || is_kept(&world)).await;
    world.until("keynote", "not draining", ingest("PodReady")).await;
    operator.stop().await;
    node.delete().await;
}

#[tokio::test]
async fn a_budget_that_an_autoscaler_waited_for_stays_open_over_a_restart() {
    let Some(world) = World::shared().await else { return };
    let (operator, node, _publisher) = live(&world, "0").await;
    let taint = json!({ "key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule" });
    node.spec(json!({ "taints": [taint] })).await;
    world.until("keynote", "evictable", ingest("EvictionAllowed")).await;
    assert!(is_open(&world).await);
    operator.stop().await;

    // A process that would have to wait for an hour.
    let restarted = world.cluster.moment().await.unwrap();
    let operator = world.start(&[("DRAIN_TIMEOUT_SECONDS", "3600")]);
    operator.wait_ready().await;
    let done = || async { operator.metric("operator_reconciles_total").await >= 1 };
    world.eventually("reconciled", done).await;
    let asked = world.cluster.requests(&world.account.user(), restarted).await.unwrap();
    let budgets =
        asked.iter().filter(|e| e.is_write() && e.object_ref.resource == "poddisruptionbudgets");
    assert_eq!(budgets.count(), 0);
    assert!(is_open(&world).await);
    operator.stop().await;
    node.delete().await;
}

#[tokio::test]
async fn without_the_right_to_see_nodes_all_else_works_and_no_drain_opens_a_budget() {
    let Some(world) = World::shared_without_cluster_role().await else { return };
    let begun = world.cluster.moment().await.unwrap();
    let (operator, node, publisher) = live(&world, "0").await;
    let check = operator.check("nodes").await;
    assert_eq!((&check["ok"], &check["needed"]), (&json!(false), &json!(false)), "{check}");
    assert!(check["detail"].as_str().unwrap().contains("Nodes"), "{check}");
    node.cordon().await;
    // A look that comes after it.
    world.patch("keynote", json!({ "spec": { "transcode": { "preset": "slow" } } })).await;
    let pending = |status: &_| condition(status, "UpdatePending").reason == "WaitsForBroadcast";
    let status = world.until("keynote", "pending", pending).await;
    assert!(ingest("PodReady")(&status) && is_kept(&world).await);

    publisher.end(millrace_media::record::EndReason::Unpublished).await;
    world.eventually("let go", || is_open(&world)).await;
    operator.stop().await;
    node.delete().await;
    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let refused = asked.iter().filter(|event| event.is_forbidden());
    let refused: Vec<_> = refused.map(|event| event.object_ref.resource.as_str()).collect();
    assert!(!refused.is_empty() && refused.iter().all(|what| *what == "nodes"), "{refused:?}");
    let told = std::fs::read_to_string(world.log()).unwrap();
    assert_eq!(told.matches("Nodes may not be listed").count(), 1);
}
