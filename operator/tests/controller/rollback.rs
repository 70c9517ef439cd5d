//! LiveStreams that a newer release let people write, after a rollback: this
//! one can't read them. The API server hands out what is stored unchecked.

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use millrace_operator::api::LiveStream;
use millrace_operator::api::status::{LiveStreamStatus, Phase};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::support::{Operator, World, condition};

/// Longer than what fails takes to be tried again a few times.
const QUIET: Duration = Duration::from_secs(6);

const INVALID: &str = "operator_streams_conditions\
    {condition=\"Accepted\",status=\"False\",reason=\"InvalidSpec\"}";

/// LiveStreams, whatever is in them.
fn any(world: &World) -> Api<DynamicObject> {
    Api::namespaced_with(world.client(), world.streams.name(), &LiveStream::api_resource())
}

fn newer() -> Value {
    json!({ "broadcaster": "acme", "transcode": { "preset": "placebo" } })
}

/// What the API server says to a stream that only the newer release knows.
async fn takes_newer(world: &World) -> bool {
    let stream = DynamicObject::new("tried", &LiveStream::api_resource());
    let stream = stream.data(json!({ "spec": newer() }));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    any(world).create(&dry, &stream).await.is_ok()
}

/// The newer release's CRD: a preset and a phase more.
async fn upgrade(world: &World) {
    let resource = ApiResource::erase::<CustomResourceDefinition>(&());
    let crds: Api<DynamicObject> = Api::all_with(world.client(), &resource);
    let mut crd = crds.get(LiveStream::crd_name()).await.unwrap();
    for (field, value) in [
        ("spec/properties/transcode/properties/preset", "placebo"),
        ("status/properties/phase", "Draining"),
    ] {
        let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{field}/enum");
        crd.data.pointer_mut(&path).unwrap().as_array_mut().unwrap().push(json!(value));
    }
    crds.replace(LiveStream::crd_name(), &PostParams::default(), &crd).await.unwrap();
    world.eventually("upgraded", || takes_newer(world)).await;
}

/// As `helm rollback` does, the older CRD comes back.
async fn roll_back(world: &World) {
    world.cluster.install_crd().await.unwrap();
    world.eventually("rolled back", || async { !takes_newer(world).await }).await;
}

async fn status(world: &World, name: &str) -> LiveStreamStatus {
    let stream = any(world).get(name).await.unwrap();
    let status = stream.data.get("status").cloned().unwrap_or_default();
    Option::<LiveStreamStatus>::deserialize(status).unwrap().unwrap_or_default()
}

/// Wait until a stream is refused, and why is said.
async fn refused(world: &World, name: &str) {
    let is = || async {
        let status = status(world, name).await;
        status.conditions.iter().any(|one| one.reason == "InvalidSpec")
    };
    world.eventually("refused", is).await;
    let status = status(world, name).await;
    let accepted = condition(&status, "Accepted");
    assert_eq!((accepted.reason.as_ref(), status.phase), ("InvalidSpec", Some(Phase::Failed)));
    for named in ["spec.transcode.preset", "placebo", "upgrade the operator"] {
        assert!(accepted.message.contains(named), "{}", accepted.message);
    }
}

async fn is_told(world: &World, name: &str) -> bool {
    let events: Api<Event> = Api::namespaced(world.client(), world.streams.name());
    let all = events.list(&ListParams::default()).await.unwrap().items;
    all.iter().any(|event| {
        let about = event.regarding.as_ref().and_then(|object| object.name.as_deref());
        about == Some(name) && event.reason.as_deref() == Some("InvalidSpec")
    })
}

async fn children_of(world: &World, name: &str) -> Vec<String> {
    let mut all = world.children().await;
    all.retain(|child| child.contains(name));
    all
}

async fn delete(world: &World, name: &str) {
    let api = &any(world);
    api.delete(name, &DeleteParams::default()).await.unwrap();
    world.eventually("gone", || async { api.get_opt(name).await.unwrap().is_none() }).await;
    let is_bare = || async { children_of(world, name).await.is_empty() };
    world.eventually("without children", is_bare).await;
}

/// Nothing is done about any stream for a while, and nothing failed.
async fn is_quiet(operator: &Operator) {
    let reconciles = async || operator.metric("operator_reconciles_total").await;
    sleep(QUIET).await;
    let before = reconciles().await;
    sleep(QUIET).await;
    assert_eq!(reconciles().await, before);
    assert_eq!(operator.metric("operator_streams_failing").await, 0);
    assert_eq!(operator.check("livestreams").await["ok"], true);
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_refused_keeps_what_it_has_and_disturbs_no_other() {
    let Some(world) = World::own().await else { return };
    let operator = world.operator().await;
    for name in ["turned", "keynote"] {
        world.create(name, json!({ "broadcaster": "acme" })).await;
        world.ready(name).await;
    }
    let before = children_of(&world, "turned").await;
    assert!(!before.is_empty());

    // The CRD comes first, and the older operator still works.
    upgrade(&world).await;
    let (patch, parameters) = (Patch::Merge(json!({ "spec": newer() })), PatchParams::default());
    any(&world).patch("turned", &parameters, &patch).await.unwrap();
    refused(&world, "turned").await;
    world.create("during", json!({ "broadcaster": "acme" })).await;
    world.ready("during").await;
    operator.stop().await;

    // The newer operator wrote these.
    let stream = DynamicObject::new("newer", &LiveStream::api_resource());
    let stream = stream.data(json!({ "spec": newer() }));
    any(&world).create(&PostParams::default(), &stream).await.unwrap();
    let draining = Patch::Merge(json!({ "status": { "phase": "Draining" } }));
    any(&world).patch_status("keynote", &parameters, &draining).await.unwrap();
    roll_back(&world).await;

    let begun = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    world.create("after", json!({ "broadcaster": "acme" })).await;
    world.ready("after").await;
    let is_ready = || async {
        let phase = any(&world).get("keynote").await.unwrap().data["status"]["phase"].clone();
        phase == json!("Ready")
    };
    world.eventually("ready again", is_ready).await;
    for name in ["turned", "newer"] {
        refused(&world, name).await;
        world.eventually("told", || is_told(&world, name)).await;
    }
    is_quiet(&operator).await;
    assert_eq!(children_of(&world, "turned").await, before);
    assert_eq!(operator.counted(INVALID).await, 2);
    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let about = asked.iter().filter(|event| {
        event.object_ref.resource == "livestreams" && event.object_ref.name == "newer"
    });
    // The finalizer and the status, which the log's first look may change.
    let about: Vec<_> = about.collect();
    assert!((2..=3).contains(&about.len()), "{about:#?}");

    for name in ["turned", "newer"] {
        delete(&world, name).await;
    }
    operator.wait_ready().await;
    operator.stop().await;
}
