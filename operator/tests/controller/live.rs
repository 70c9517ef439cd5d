//! A broadcast, as the log shows it: what is live is left alone.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use millrace_media::id::StreamId;
use millrace_media::record::EndReason;
use millrace_operator::api::status::{LiveStreamStatus, Phase};
use millrace_platform::config::{Env, Installation, KafkaConfig};
use millrace_platform::kafka::{Producer, ProducerLimits};
use serde_json::json;

use super::node::budget;
use super::publisher::Publisher;
use super::support::{World, condition};

pub(crate) fn publisher(world: &World, name: &str) -> Publisher {
    let env = Env::from_pairs(world.servers.pairs());
    let stream = StreamId::new(world.streams.name(), name).unwrap();
    let kafka = KafkaConfig::read(&env).unwrap();
    let producer = Producer::open(&kafka, ProducerLimits::default()).unwrap();
    Publisher::new(producer, &Installation::read(&env).unwrap(), &stream)
}

pub(crate) async fn deployment(world: &World, role: &str) -> Deployment {
    let api: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let named = |one: &Deployment| one.metadata.name.as_ref().unwrap().ends_with(role);
    all.into_iter().find(named).unwrap()
}

fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().unwrap().paused.unwrap_or_default()
}

fn preset(deployment: &Deployment) -> String {
    let pod = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let env = pod.containers[0].env.as_ref().unwrap();
    env.iter().find(|one| one.name == "PRESET").unwrap().value.clone().unwrap()
}

pub(crate) async fn is_kept(world: &World) -> bool {
    let budget = budget(world.client(), world.workers.name()).await;
    budget.spec.unwrap().max_unavailable == Some(IntOrString::Int(0))
}

#[tokio::test]
async fn a_new_template_waits_for_the_end_of_a_broadcast() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    assert!(!is_kept(&world).await);

    let mut publisher = publisher(&world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    let status = world.until_phase("keynote", Phase::Live).await;
    let broadcast = status.broadcast.unwrap();
    assert_eq!((broadcast.id, broadcast.ended), (publisher.broadcast.to_string(), None));
    world.eventually("kept", || is_kept(&world)).await;

    let preset_of = |preset: &str| json!({ "spec": { "transcode": { "preset": preset } } });
    world.patch("keynote", preset_of("slow")).await;
    let pending = |status: &_| condition(status, "UpdatePending").reason == "WaitsForBroadcast";
    world.until("keynote", "pending", pending).await;
    let waits = deployment(&world, "transcode").await;
    assert!(is_paused(&waits) && preset(&waits) == "slow");
    assert!(!is_paused(&deployment(&world, "ingest").await), "its template is the same");

    // Somebody will not wait.
    let roll = json!({ "metadata": { "annotations": { "millrace.dev/roll": "now" } } });
    world.patch("keynote", roll).await;
    let rolled = |status: &_| condition(status, "UpdatePending").reason == "UpToDate";
    let status = world.until("keynote", "rolled", rolled).await;
    assert_eq!(status.phase, Some(Phase::Live), "it is live all the same");
    let now = deployment(&world, "transcode").await;
    assert!(!is_paused(&now) && preset(&now) == "slow");
    let annotations =
        || async { world.livestreams().get("keynote").await.unwrap().metadata.annotations };
    let asks_no_more =
        || async { annotations().await.is_none_or(|all| !all.contains_key("millrace.dev/roll")) };
    world.eventually("asked no more", asks_no_more).await;

    // The operator away, and back: it is still live.
    operator.stop().await;
    let operator = world.operator().await;
    world.patch("keynote", preset_of("medium")).await;
    world
        .eventually("applied", || async {
            preset(&deployment(&world, "transcode").await) == "medium"
        })
        .await;
    assert!(is_paused(&deployment(&world, "transcode").await));
    assert_ne!(condition(&world.status("keynote").await, "Live").reason, "NoBroadcast");

    publisher.end(EndReason::Unpublished).await;
    let ended = |status: &millrace_operator::api::status::LiveStreamStatus| {
        condition(status, "Live").reason == "NoBroadcast"
            && condition(status, "UpdatePending").reason == "UpToDate"
    };
    let status = world.until("keynote", "ended", ended).await;
    assert!(status.broadcast.unwrap().ended.is_some());
    assert!(!is_paused(&deployment(&world, "transcode").await));
    world.eventually("let go", || async { !is_kept(&world).await }).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_sleeping_stream_wakes_with_its_publisher_though_postgres_and_redis_know_nothing() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let spec = json!({ "broadcaster": "acme", "transcode": { "idle": "ScaleToZero" } });
    world.create("keynote", spec).await;
    let status = world.ready("keynote").await;
    assert_eq!(condition(&status, "TranscodeReady").reason, "ScaledToZero");
    let replicas =
        || async { deployment(&world, "transcode").await.spec.unwrap().replicas.unwrap_or(1) };
    assert_eq!(replicas().await, 0);

    let mut publisher = publisher(&world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    world.eventually("awake", || async { replicas().await == 1 }).await;
}

/// The ingest Service's port, by name, with its number.
async fn port(world: &World) -> Option<(String, i32)> {
    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let all = services.list(&ListParams::default()).await.unwrap().items;
    let mut its = all.into_iter().filter(|one| one.name_any().starts_with("keynote-"));
    let port = its.find_map(|service| service.spec?.ports?.pop())?;
    Some((port.name?, port.port))
}

#[tokio::test]
async fn publishers_are_offered_the_old_protocol_until_the_broadcast_is_over() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.certificate("cert").await;
    let rtmps = json!({ "protocol": "RTMPS", "tls": { "secretName": "cert" } });
    world.create("keynote", json!({ "broadcaster": "acme", "ingest": rtmps })).await;
    world.ready("keynote").await;
    let mut publisher = publisher(&world, "keynote");
    publisher.open().await;
    publisher.frames(3).await;
    world.until_phase("keynote", Phase::Live).await;
    let copies = || async {
        let all = world.children().await;
        all.iter().filter(|child| child.ends_with("-rtmps-tls")).count()
    };
    let offered = |status: &LiveStreamStatus| {
        status.endpoints.clone().and_then(|all| all.rtmp).unwrap_or_default()
    };

    // The pod that has the publisher knows the old one alone.
    let plain = json!({ "spec": { "ingest": { "protocol": "RTMP", "tls": null } } });
    world.patch("keynote", plain).await;
    let pending = |status: &_| condition(status, "UpdatePending").reason == "WaitsForBroadcast";
    let status = world.until("keynote", "pending", pending).await;
    assert!(offered(&status).starts_with("rtmps://"), "{}", offered(&status));
    world.touch("keynote").await;
    world.create("later", json!({ "broadcaster": "acme", "suspend": true })).await;
    world.until_phase("later", Phase::Suspended).await;
    let old = Some(("rtmps".to_owned(), 443));
    assert_eq!((port(&world).await, copies().await), (old.clone(), 1));
    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let all = services.list(&ListParams::default()).await.unwrap().items;
    let name = all.iter().map(ResourceExt::name_any).find(|name| name.starts_with("keynote-"));
    services.delete(&name.unwrap(), &DeleteParams::default()).await.unwrap();
    world.eventually("there again", || async { port(&world).await.is_some() }).await;
    assert_eq!((port(&world).await, copies().await), (old, 1), "somebody deleted it");

    publisher.end(EndReason::Unpublished).await;
    let changed = |status: &LiveStreamStatus| offered(status).starts_with("rtmp://");
    world.until("keynote", "changed", changed).await;
    assert_eq!(port(&world).await, Some(("rtmp".to_owned(), 1935)));
    world.eventually("without the copy", || async { copies().await == 0 }).await;
}

#[tokio::test]
async fn a_roll_that_was_asked_for_is_over_though_something_else_fails() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let services: Api<Service> = Api::namespaced(world.client(), world.streams.name());
    let theirs = json!({
        "metadata": { "name": "keynote-rtmp" },
        "spec": { "type": "ExternalName", "externalName": "elsewhere.example" },
    });
    let theirs = serde_json::from_value(theirs).unwrap();
    services.create(&PostParams::default(), &theirs).await.unwrap();
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let refused = |status: &_| condition(status, "IngestReady").reason == "NotApplied";
    world.until("keynote", "refused", refused).await;
    let roll = json!({ "metadata": { "annotations": { "millrace.dev/roll": "now" } } });
    world.patch("keynote", roll).await;
    let is_over = || async {
        let all = world.livestreams().get("keynote").await.unwrap().metadata.annotations;
        all.is_none_or(|all| !all.contains_key("millrace.dev/roll"))
    };
    world.eventually("asked no more", is_over).await;
}
