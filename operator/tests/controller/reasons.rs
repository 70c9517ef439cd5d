//! What helps nobody to try again: conditions say so, metrics show it, and
//! nothing is asked until something changes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use millrace_harness::server::{Kind, Server};
use millrace_operator::api::status::Phase;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::live::publisher;
use super::support::{World, condition};

/// Without the rules that the API server would check.
fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let is_rule = ["x-kubernetes-validations", "minimum", "maximum"].contains(&&**name);
                !is_rule || value.is_object()
            });
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(all) => all.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// Requests but for the Lease and watches, in the next seconds.
async fn asked_in(world: &World, seconds: u64) -> Vec<String> {
    let moment = world.cluster.moment().await.unwrap();
    sleep(Duration::from_secs(seconds)).await;
    let asked = world.cluster.requests(&world.account.user(), moment).await.unwrap();
    let asked = asked.iter().filter(|e| e.verb != "watch" && e.object_ref.resource != "leases");
    asked.map(|e| format!("{} {}", e.verb, e.object_ref.resource)).collect()
}

/// The CRD is of another version than the operator, as in the middle of an upgrade.
#[tokio::test]
async fn a_spec_that_only_the_code_refuses_is_said_counted_and_left_alone_until_it_changes() {
    let Some(world) = World::own().await else { return };
    let name = "livestreams.millrace.dev";
    let crd = world.cluster.kubectl(&["get", "crd", name, "-o", "json"]).await.unwrap();
    let mut crd: Value = serde_json::from_str(&crd).unwrap();
    without_rules(&mut crd["spec"]["versions"]);
    let file = world.log().with_file_name("crd.json");
    std::fs::write(&file, crd.to_string()).unwrap();
    world.cluster.kubectl(&["replace", "-f", file.to_str().unwrap()]).await.unwrap();

    let operator = world.operator().await;
    world.create("fine", json!({ "broadcaster": "acme" })).await;
    world.ready("fine").await;
    let bad = json!({ "packaging": { "segmentDuration": "1s", "partDuration": "1s" } });
    // The API server may still know the rules.
    let refused = || async {
        let parameters = kube::api::PatchParams::default();
        let patch = kube::api::Patch::Merge(json!({ "spec": bad }));
        world.livestreams().patch("fine", &parameters, &patch).await.is_ok()
    };
    world.eventually("taken by the API server", refused).await;
    let status = world.until_phase("fine", Phase::Failed).await;
    let accepted = condition(&status, "Accepted");
    assert_eq!(accepted.reason, "InvalidSpec");
    assert!(accepted.message.starts_with("spec.packaging.partDuration"), "{}", accepted.message);
    // What runs stays.
    assert_eq!(world.children().await.len(), 6);
    assert!(status.endpoints.is_some());
    assert_eq!(operator.metric("operator_streams{phase=\"Failed\"}").await, 1);
    let refused = "operator_streams_conditions{condition=\"Accepted\",status=\"False\",reason=\"InvalidSpec\"}";
    assert_eq!(operator.counted(refused).await, 1);
    assert_eq!(operator.metric("operator_streams_waiting").await, 0);

    sleep(Duration::from_secs(1)).await;
    assert_eq!(asked_in(&world, 15).await, [""; 0]);
    world.patch("fine", json!({ "spec": { "packaging": { "partDuration": "200ms" } } })).await;
    world.ready("fine").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_secret_of_somebody_else_in_the_place_of_the_keys_is_left_and_said() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    let secrets: Api<Secret> = Api::namespaced(world.client(), world.streams.name());
    let theirs = json!({
        "metadata": { "name": "keynote-publish-keys" }, "stringData": { "main": "theirs" },
    });
    let theirs = serde_json::from_value(theirs).unwrap();
    secrets.create(&PostParams::default(), &theirs).await.unwrap();
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let unwritten = |status: &_| condition(status, "KeysReady").reason == "SecretNotWritten";
    let status = world.until("keynote", "refused", unwritten).await;
    let message = &condition(&status, "KeysReady").message;
    assert!(message.contains("keynote-publish-keys") && message.contains("somebody else"));
    let counted = "operator_streams_conditions{condition=\"KeysReady\",status=\"False\",reason=\"SecretNotWritten\"}";
    world.eventually("counted", || async { operator.counted(counted).await == 1 }).await;
    // Trying again would not help.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(asked_in(&world, 10).await, [""; 0]);
    assert_eq!(world.keys("keynote").await["main"], "theirs");
    operator.stop().await;
}

#[tokio::test]
async fn a_redis_that_refuses_the_password_is_told_apart_from_one_that_is_away() {
    let Some(mut world) = World::shared().await else { return };
    let (scheme, address) = world.servers.redis.split_once("://").unwrap();
    world.servers.redis = format!("{scheme}://:wrong@{address}");
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let refused = |status: &_| condition(status, "CacheReady").reason == "RedisRefused";
    let status = world.until("keynote", "refused", refused).await;
    assert!(!condition(&status, "CacheReady").message.contains("wrong"));
    world.ready("keynote").await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_kafka_refuses_is_said_counted_and_made_once_kafka_takes_it() {
    let Some(mut world) = World::shared().await else { return };
    // It has one broker: no topic can have three copies.
    let kafka = Server::new(Kind::Kafka).unwrap();
    kafka.restart_with("default.replication.factor=3").unwrap();
    world.servers.kafka = kafka.address();
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let refused = |status: &_| condition(status, "TopicsReady").reason == "TopicRefused";
    let status = world.until("keynote", "refused", refused).await;
    let message = &condition(&status, "TopicsReady").message;
    assert!(message.contains("stream-events") && message.contains("replication"), "{message}");
    assert_eq!(condition(&status, "Ready").reason, "PartsMissing");
    let counted = "operator_streams_conditions{condition=\"TopicsReady\",status=\"False\",reason=\"TopicRefused\"}";
    world.eventually("counted", || async { operator.counted(counted).await == 1 }).await;
    // What needs no topic is there.
    assert_eq!(world.children().await.len(), 6);
    assert_eq!(condition(&status, "KeysReady").reason, "KeysReady");
    // Trying again at once would not help.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(asked_in(&world, 10).await, [""; 0]);

    kafka.restart_with("default.replication.factor=1").unwrap();
    world.touch("keynote").await;
    world.ready("keynote").await;
    operator.stop().await;
}

#[tokio::test]
async fn a_broadcast_whose_publisher_is_away_waits_for_it() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let mut publisher = publisher(&world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    let waits = |status: &_| condition(status, "Live").reason == "WaitsForPublisher";
    let status = world.until("keynote", "waiting for its publisher", waits).await;
    assert_eq!(status.phase, Some(Phase::Live));
    publisher.frames(3).await;
    let on_air = |status: &_| condition(status, "Live").reason == "Publishing";
    world.until("keynote", "published to again", on_air).await;
    operator.stop().await;
}
