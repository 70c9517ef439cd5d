//! What nobody tells the operator of: Secrets are not watched, and some things
//! end by themselves.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use millrace_media::id::StreamId;
use millrace_media::record::EndReason;
use millrace_platform::config::{Env, Installation, KafkaConfig};
use millrace_platform::kafka::Admin;
use millrace_platform::names::topics::frames_topic;
use serde_json::json;

use super::live::{deployment, publisher};
use super::support::{World, condition};

#[tokio::test]
async fn a_certificate_that_comes_late_and_is_renewed_is_seen_though_nobody_touches_the_stream() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let rtmps = json!({ "protocol": "RTMPS", "tls": { "secretName": "cert" } });
    world.create("keynote", json!({ "broadcaster": "acme", "ingest": rtmps })).await;
    let missing = |status: &_| condition(status, "Accepted").reason == "SecretMissing";
    world.until("keynote", "waiting", missing).await;
    world.certificate("cert").await;
    let accepted = |status: &_| condition(status, "Accepted").reason == "Accepted";
    world.until("keynote", "accepted", accepted).await;

    let chain = async |namespace: &str, suffix: &str| {
        let secrets: Api<Secret> = Api::namespaced(world.client(), namespace);
        let all = secrets.list(&ListParams::default()).await.unwrap().items;
        let named = |one: &&Secret| one.metadata.name.as_ref().unwrap().ends_with(suffix);
        all.iter().find(named).map(|one| one.data.as_ref().unwrap()["tls.crt"].clone())
    };
    let copied = || async {
        let theirs = chain(world.streams.name(), "cert").await;
        chain(world.workers.name(), "-rtmps-tls").await == theirs
    };
    world.eventually("copied", copied).await;
    world.certificate("cert").await;
    assert!(!copied().await, "another one");
    world.eventually("copied again", copied).await;
}

#[tokio::test]
async fn a_key_that_was_rotated_away_goes_when_its_time_is_over() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let rotated =
        json!({ "spec": { "keys": [{ "name": "main", "rotation": 1, "overlap": "5s" }] } });
    world.patch("keynote", rotated).await;
    let has_previous = || async { world.keys("keynote").await.contains_key("main.previous") };
    world.eventually("rotated", has_previous).await;
    let main = world.keys("keynote").await["main"].clone();
    world.eventually("over", || async { !has_previous().await }).await;
    assert_eq!(world.keys("keynote").await["main"], main);
}

#[tokio::test]
async fn a_transcoder_goes_to_sleep_a_while_after_the_end_of_the_broadcast() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let spec = json!({ "broadcaster": "acme", "transcode": { "idle": "ScaleToZero" } });
    world.create("keynote", spec).await;
    world.ready("keynote").await;
    let replicas = || async { deployment(&world, "transcode").await.spec.unwrap().replicas };
    let mut publisher = publisher(&world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    world.eventually("awake", || async { replicas().await == Some(1) }).await;
    publisher.end(EndReason::Unpublished).await;
    let over = |status: &_| condition(status, "Live").reason == "NoBroadcast";
    world.until("keynote", "over", over).await;
    assert_eq!(replicas().await, Some(1), "it has the last segments to make");
    world.eventually("asleep", || async { replicas().await == Some(0) }).await;
}

#[tokio::test]
async fn a_topic_that_somebody_deletes_is_made_again() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let env = Env::from_pairs(world.servers.pairs());
    let admin = Admin::open(&KafkaConfig::read(&env).unwrap()).unwrap();
    let stream = StreamId::new(world.streams.name(), "keynote").unwrap();
    let topic = frames_topic(&Installation::read(&env).unwrap(), &stream);
    let made = || {
        let log = std::fs::read_to_string(world.log()).unwrap();
        log.lines().filter(|line| line.contains(&topic) && line.contains("Created")).count()
    };
    assert_eq!(made(), 1);
    // What is missing of one that was made just now a broker may not know yet.
    tokio::time::sleep(Duration::from_secs(6)).await;
    admin.delete(&topic).await.unwrap();
    world.eventually("made again", || async { made() == 2 }).await;
    assert!(admin.describe(&topic).await.unwrap().is_some());
}
