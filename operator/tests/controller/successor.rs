//! A LiveStream that is deleted and made again at once, under the same name.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use millrace_operator::reconcile::kind::Kind;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::outside::Outside;
use super::support::{PATIENCE, World, manifest};

/// As many LiveStreams have the name, one after the other.
const TIMES: usize = 3;

fn spec() -> Value {
    json!({
        "broadcaster": "acme",
        "ingest": { "protocol": "RTMPS", "tls": { "secretName": "cert" } },
    })
}

/// Delete it and make it again as soon as the name is free; its UID.
async fn again(world: &World) -> String {
    let (api, successor) = (world.livestreams(), manifest("keynote", spec()));
    api.delete("keynote", &DeleteParams::default()).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match api.create(&PostParams::default(), &successor).await {
            Ok(made) => return made.uid().unwrap(),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < deadline, "it does not go\n{}", world.log_tail());
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Kinds of all children, and whose they say they are.
async fn children(world: &World) -> (Vec<Kind>, BTreeSet<String>) {
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=millrace-operator");
    let (mut kinds, mut uids) = (Vec::new(), BTreeSet::new());
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::HttpRoute) {
        for namespace in [world.workers.name(), world.streams.name()] {
            for child in world.api(kind, namespace).list(&ours).await.unwrap().items {
                kinds.push(kind);
                uids.insert(child.labels()["millrace.dev/livestream-uid"].clone());
                uids.extend(livestreams(&child));
            }
        }
    }
    (kinds, uids)
}

/// UIDs of LiveStreams that own it.
fn livestreams(child: &DynamicObject) -> impl Iterator<Item = String> {
    let owners = child.owner_references().iter().filter(|owner| owner.kind == "LiveStream");
    owners.map(|owner| owner.uid.clone())
}

/// Children, key and topic are this one's and no other's.
async fn is_whole(world: &World, outside: &Outside, uid: &str) {
    use Kind::{Deployment, PodDisruptionBudget, Secret, Service};
    let (kinds, uids) = children(world).await;
    let all = [Secret, Secret, Service, Service, PodDisruptionBudget, Deployment, Deployment];
    assert_eq!(kinds, all);
    assert_eq!(uids, BTreeSet::from([uid.to_owned()]));
    let keys = world.keys("keynote").await;
    let ids: BTreeSet<_> = keys.values().map(|key| key.split_once('_').unwrap().0).collect();
    let good = outside.keys("keynote").await;
    assert_eq!(ids, good.iter().map(String::as_str).collect());
    assert!(outside.has("keynote").await.is_superset(&["row", "keys", "topic"].into()));
}

/// Its pods are deleted by Kubernetes, in its own time.
async fn are_pods_gone(world: &World, uid: &str) -> bool {
    let pods: Api<Pod> = Api::namespaced(world.client(), world.workers.name());
    let its = ListParams::default().labels(&format!("millrace.dev/livestream-uid={uid}"));
    pods.list(&its).await.unwrap().items.is_empty()
}

#[tokio::test]
async fn a_stream_made_again_at_once_has_all_of_its_own_and_the_sweep_takes_only_the_old_one() {
    let Some(world) = World::shared().await else { return };
    let operator = world.start(&[("SWEEP_AFTER_SECONDS", "10"), ("SWEEP_EVERY_SECONDS", "1")]);
    operator.wait_ready().await;
    world.certificate("cert").await;
    let outside = Outside::of(&world);
    let mut uid = world.create("keynote", spec()).await.uid().unwrap();
    world.ready("keynote").await;
    is_whole(&world, &outside, &uid).await;

    for _ in 1..TIMES {
        let (old, keys) = (uid, world.keys("keynote").await);
        uid = again(&world).await;
        assert_ne!(uid, old);
        world.ready("keynote").await;
        is_whole(&world, &outside, &uid).await;
        assert_ne!(world.keys("keynote").await["main"], keys["main"]);
        world.eventually("without old pods", || are_pods_gone(&world, &old)).await;
    }
    let keys = world.keys("keynote").await;
    // The rows of those before are the last of them.
    world.eventually("swept", || async { outside.livestreams().await == [uid.clone()] }).await;
    is_whole(&world, &outside, &uid).await;
    assert_eq!(world.keys("keynote").await, keys);
    operator.stop().await;
}
