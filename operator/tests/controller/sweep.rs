//! LiveStreams whose finalizer was taken off by hand.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use millrace_harness::proxy::Mode;
use serde_json::json;

use super::metrics::before_postgres;
use super::outside::Outside;
use super::support::World;

/// Children in the workers namespace, by kind, name and the LiveStream's UID.
async fn workers(world: &World, uid: &str) -> Vec<String> {
    let which = format!("millrace.dev/livestream-uid={uid}");
    let kinds = "deployments,services,poddisruptionbudgets,secrets";
    let namespace = world.workers.name();
    let arguments = ["get", kinds, "-n", namespace, "-l", &which, "-o", "name"];
    let listed = world.cluster.kubectl(&arguments).await.unwrap();
    listed.lines().map(str::to_owned).collect()
}

/// What holds a LiveStream until its children are gone is taken off.
async fn strip_and_delete(world: &World, name: &str) {
    world.patch(name, json!({ "metadata": { "finalizers": null } })).await;
    world.delete(name).await;
}

#[tokio::test]
async fn children_of_a_stream_whose_finalizer_was_taken_off_are_swept_and_no_others() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    let rtmps = json!({
        "broadcaster": "acme",
        "ingest": { "protocol": "RTMPS", "tls": { "secretName": "cert" } },
    });
    world.certificate("cert").await;
    let mut uids = Vec::new();
    for name in ["gone", "again", "stays"] {
        uids.push(world.create(name, rtmps.clone()).await.uid().unwrap());
    }
    for name in ["gone", "again", "stays"] {
        world.ready(name).await;
    }
    operator.stop().await;
    for name in ["gone", "again"] {
        strip_and_delete(&world, name).await;
    }
    // One has a successor of its name: it takes over what it can, and waits for
    // the rest to go.
    let successor = world.create("again", rtmps).await.uid().unwrap();
    for uid in &uids {
        let left = workers(&world, uid).await;
        assert_eq!(left.len(), 5, "{left:?}");
    }
    let deployments: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let of = ListParams::default().labels(&format!("millrace.dev/livestream-uid={}", uids[2]));
    let before = deployments.list(&of).await.unwrap().items;
    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let service_of = async |livestream: &str| {
        let which = format!("millrace.dev/livestream-uid={livestream}");
        let all = services.list(&ListParams::default().labels(&which)).await.unwrap();
        all.items[0].uid().unwrap()
    };
    let service = service_of(&uids[1]).await;

    let pace = [("SWEEP_AFTER_SECONDS", "10"), ("SWEEP_EVERY_SECONDS", "1")];
    let operator = world.start(&pace);
    operator.wait_ready().await;
    for uid in &uids[..2] {
        world.eventually("swept", || async { workers(&world, uid).await.is_empty() }).await;
    }
    world.ready("again").await;
    assert_eq!(workers(&world, &successor).await.len(), 5);
    assert_eq!(service_of(&successor).await, service, "what was taken over stays");
    assert_eq!(workers(&world, &uids[2]).await.len(), 5);
    let after = deployments.list(&of).await.unwrap().items;
    let uid = |all: &[Deployment]| all.iter().map(|one| one.uid().unwrap()).collect::<Vec<_>>();
    assert_eq!(uid(&after), uid(&before));
    // What is outside follows.
    let outside = Outside::of(&world);
    let mut left = [successor, uids[2].clone()];
    left.sort();
    world.eventually("forgotten", || async { outside.livestreams().await == left }).await;
    operator.stop().await;
}

#[tokio::test]
async fn what_is_kept_of_a_stream_is_what_it_said_when_it_was_deleted() {
    let Some(mut world) = World::shared().await else { return };
    let outside = Outside::of(&world);
    let postgres = before_postgres(&mut world).await;
    let operator = world.start(&[("SWEEP_EVERY_SECONDS", "1")]);
    operator.wait_ready().await;
    world.create("keynote", json!({ "broadcaster": "acme", "deletionPolicy": "Delete" })).await;
    world.ready("keynote").await;
    let is = async |policy: &str| outside.policies("keynote").await == [policy.to_owned()].into();
    assert!(is("Delete").await);

    postgres.set(Mode::Reset);
    world.patch("keynote", json!({ "spec": { "deletionPolicy": "Retain" } })).await;
    world.delete("keynote").await;
    assert!(is("Delete").await, "Postgres was away");
    postgres.set(Mode::Pass);
    world.eventually("known to Postgres", || is("Retain")).await;
    operator.stop().await;
}
