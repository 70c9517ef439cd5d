//! Conflicts as the API server itself finds them.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Service};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::sleep;

use super::support::World;

/// A label by which a child is found is somebody else's now. It is not taken
/// unseen: somebody else's object might have the name.
#[tokio::test]
async fn a_child_that_was_taken_out_of_sight_is_taken_back() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let deployments: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let name = deployments.list(&ListParams::default()).await.unwrap().items[0].name_any();
    let taken = || async {
        let label =
            json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "somebody" } } });
        deployments.patch(&name, &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
    };
    let taken_back = async |begun| {
        world
            .eventually("taken back", || async {
                let labels = deployments.get(&name).await.unwrap().metadata.labels.unwrap();
                labels["app.kubernetes.io/managed-by"] == "millrace-operator"
            })
            .await;
        world.ready("keynote").await;
        let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
        let of_it = asked.into_iter().filter(|event| {
            let object = &event.object_ref;
            object.name == name && object.resource == "deployments"
        });
        of_it.map(|event| (event.verb, event.response_status.code)).collect::<Vec<_>>()
    };
    let words = |codes: &[(&str, u16)]| -> Vec<_> {
        codes.iter().map(|(verb, code)| ((*verb).to_owned(), *code)).collect()
    };

    let begun = world.cluster.moment().await.unwrap();
    taken().await;
    let asked = taken_back(begun).await;
    assert_eq!(asked, words(&[("get", 200), ("patch", 200)]), "who made it looks first");

    operator.stop().await;
    taken().await;
    let begun = world.cluster.moment().await.unwrap();
    let _operator = world.operator().await;
    let asked = taken_back(begun).await;
    let refused_first = [("patch", 409), ("get", 200), ("patch", 200)];
    assert_eq!(asked, words(&refused_first), "to another it is a new one");

    // Nor does it need a label to be known again by who made it.
    let none = json!({ "metadata": { "labels": { "millrace.dev/livestream-uid": null } } });
    deployments.patch(&name, &PatchParams::default(), &Patch::Merge(&none)).await.unwrap();
    let labelled = || async {
        let labels = deployments.get(&name).await.unwrap().metadata.labels.unwrap();
        labels.contains_key("millrace.dev/livestream-uid")
    };
    world.eventually("labelled again", labelled).await;
}

/// In the stream's own namespace its owner may do anything to it.
#[tokio::test]
async fn a_local_name_that_was_given_to_another_namespace_or_deleted_is_put_back() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let services: Api<Service> = Api::namespaced(world.client(), world.streams.name());
    let label = json!({ "metadata": { "labels": { "millrace.dev/livestream-namespace": "x" } } });
    let drift = Patch::Merge(&label);
    services.patch("keynote-rtmp", &PatchParams::default(), &drift).await.unwrap();
    let is_right = || async {
        let found = services.get_opt("keynote-rtmp").await.unwrap();
        let labels = found.and_then(|one| one.metadata.labels).unwrap_or_default();
        labels.get("millrace.dev/livestream-namespace").map(String::as_str)
            == Some(world.streams.name())
    };
    world.eventually("put back", is_right).await;
    services.patch("keynote-rtmp", &PatchParams::default(), &drift).await.unwrap();
    services.delete("keynote-rtmp", &DeleteParams::default()).await.unwrap();
    world.eventually("there again", is_right).await;
}

/// A LiveStream is changed while it is being deleted.
#[tokio::test]
async fn a_stream_that_changes_while_it_is_deleted_is_deleted_all_the_same() {
    let Some(world) = World::shared().await else { return };
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let begun = world.cluster.moment().await.unwrap();
    door.forget();
    // Time to change it between its children's end and its own.
    door.slow_down(Duration::from_millis(200));
    let api = world.livestreams();
    api.delete("keynote", &DeleteParams::default()).await.unwrap();
    let deletes = || async { door.asked().iter().any(|asked| asked.verb == "delete") };
    world.eventually("deleted from", deletes).await;
    world.patch("keynote", json!({ "metadata": { "annotations": { "note": "wait" } } })).await;
    world.eventually("gone", || async { api.get_opt("keynote").await.unwrap().is_none() }).await;
    assert_eq!(world.children().await, Vec::<String>::new());

    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let of_it = asked.iter().filter(|event| event.object_ref.resource == "livestreams");
    let patches: Vec<_> = of_it.filter(|event| event.verb == "patch").collect();
    let codes: Vec<_> = patches.iter().map(|event| event.response_status.code).collect();
    assert_eq!(codes, [409, 200], "{patches:#?}");
    // It is no news for people.
    let events: Api<Event> = Api::namespaced(world.client(), world.streams.name());
    let told = events.list(&ListParams::default()).await.unwrap().items;
    let told: Vec<_> = told.iter().filter_map(|event| event.reason.as_deref()).collect();
    assert!(!told.contains(&"NotDeleted"), "{told:?}");
}

/// In a namespace of his own anybody can put any labels on a Service.
#[tokio::test]
async fn a_service_with_the_labels_of_a_stream_elsewhere_keeps_no_child_of_it_away() {
    let Some(world) = World::shared().await else { return };
    let theirs = world.cluster.namespace("theirs").await.unwrap();
    let both = format!("{},{}", world.streams.name(), theirs.name());
    let operator = world.start(&[("WATCH_NAMESPACES", &both)]);
    operator.wait_ready().await;
    let uid = world.create("keynote", json!({ "broadcaster": "acme" })).await.uid().unwrap();
    world.ready("keynote").await;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "mine", "labels": {
            "app.kubernetes.io/managed-by": "millrace-operator",
            "millrace.dev/livestream-uid": uid,
            "millrace.dev/livestream-namespace": theirs.name(),
            "millrace.dev/livestream": "x",
        } },
        "spec": { "ports": [{ "port": 80 }] },
    });
    let service: Service = serde_json::from_value(service).unwrap();
    let services: Api<Service> = Api::namespaced(world.client(), theirs.name());
    services.create(&PostParams::default(), &service).await.unwrap();
    // Nothing tells that it was seen.
    sleep(Duration::from_secs(1)).await;

    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let name = services.list(&ListParams::default()).await.unwrap().items[0].name_any();
    services.delete(&name, &DeleteParams::default()).await.unwrap();
    let again = || async { services.get_opt(&name).await.unwrap().is_some() };
    world.eventually("made again", again).await;
    operator.stop().await;
}
