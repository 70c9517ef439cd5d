//! What the operator asks of the API server, by the server's own log: its rights
//! are those that it uses, each where it holds.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, DeleteParams, PostParams};
use millrace_harness::cluster::Namespace;
use millrace_harness::cluster::audit::{self, Event};
use millrace_harness::cluster::rbac::OperatorRules;
use millrace_operator::api::LiveStream;
use millrace_operator::api::status::Phase;
use serde_json::json;

use super::support::{World, manifest};

/// What these rules grant and nobody used where they hold.
fn unused<'a>(
    rules: impl IntoIterator<Item = &'a PolicyRule>,
    asked: &'a [Event],
    hold: impl Fn(&Event) -> bool,
) -> Vec<String> {
    let unused = audit::unused(rules, asked.iter().filter(|event| hold(event)));
    unused.iter().map(ToString::to_string).collect()
}

fn is_in(namespace: &str) -> impl Fn(&Event) -> bool {
    move |event| event.object_ref.namespace == namespace
}

/// Whether it needs a ClusterRole: it is about all namespaces at once, or about
/// an object where somebody's streams are.
fn is_everywhere(event: &Event, workers: &str) -> bool {
    let namespace = &event.object_ref.namespace;
    if matches!(event.verb.as_str(), "list" | "watch") {
        return namespace.is_empty();
    }
    namespace != workers
}

fn refused(asked: &[Event]) -> Vec<&Event> {
    asked.iter().filter(|event| event.is_forbidden()).collect()
}

/// One thing twice is one Event, counted.
async fn suspend_twice(world: &World, name: &str) {
    for _ in 0..2 {
        world.patch(name, json!({ "spec": { "suspend": true } })).await;
        world.until_phase(name, Phase::Suspended).await;
        world.patch(name, json!({ "spec": { "suspend": false } })).await;
        world.ready(name).await;
    }
}

/// A stream in a namespace that no setting names comes and goes.
async fn comes_and_goes(world: &World, namespace: &Namespace, name: &str) {
    let api: Api<LiveStream> = Api::namespaced(world.client(), namespace.name());
    let stream = manifest(name, json!({ "broadcaster": "acme" }));
    api.create(&PostParams::default(), &stream).await.unwrap();
    let is_ready = || async {
        world.pods_ready(name).await;
        let status = api.get(name).await.unwrap().status;
        status.is_some_and(|status| status.phase == Some(Phase::Ready))
    };
    world.eventually("ready", is_ready).await;
    api.delete(name, &DeleteParams::default()).await.unwrap();
    world.eventually("gone", || async { api.get_opt(name).await.unwrap().is_none() }).await;
}

/// As the chart installs it: it looks after all namespaces.
#[tokio::test]
async fn under_its_own_account_no_right_is_missing_and_none_is_too_many() {
    let Some(world) = World::own().await else { return };
    world.cluster.install_http_routes().await.unwrap();
    let begun = world.cluster.moment().await.unwrap();
    let rules = json!([{
        "namespaces": [world.streams.name()],
        "hostSuffixes": ["example.org"],
        "ingressClasses": ["public"],
        "gateways": [{ "namespace": "edge", "name": "public" }],
    }]);
    let rules = rules.to_string();
    let settings = [("PLAYBACK_RULES", rules.as_str()), ("WATCH_NAMESPACES", "")];
    let operator = world.start(&settings);
    operator.wait_ready().await;

    world.certificate("cert").await;
    let ingress = json!({ "broadcaster": "acme", "playback": {
        "hostname": "a.example.org", "ingressClassName": "public", "tls": { "secretName": "cert" },
    }});
    let gateway = json!({ "broadcaster": "acme", "playback": {
        "hostname": "b.example.org", "gateway": { "namespace": "edge", "name": "public" },
    }});
    world.create("ingress", ingress).await;
    world.create("gateway", gateway).await;
    world.ready("ingress").await;
    world.ready("gateway").await;
    suspend_twice(&world, "gateway").await;
    let other = world.cluster.namespace("other").await.unwrap();
    comes_and_goes(&world, &other, "elsewhere").await;
    // It looks before it writes what it does not remember.
    operator.stop().await;
    let operator = world.start(&settings);
    operator.wait_ready().await;
    let done = || async { operator.metric("operator_reconciles_total").await >= 2 };
    world.eventually("reconciled", done).await;
    world.delete("ingress").await;
    world.delete("gateway").await;
    operator.stop().await;

    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    assert!(refused(&asked).is_empty(), "{:#?}", refused(&asked));
    let (rules, workers) = (OperatorRules::of_chart().unwrap(), world.workers.name());
    let everywhere = unused(&rules.everywhere, &asked, |event| is_everywhere(event, workers));
    assert!(everywhere.is_empty(), "everywhere: {everywhere:?}");
    let children = unused(&rules.workers, &asked, is_in(workers));
    assert!(children.is_empty(), "where workers are: {children:?}");
    // Its own namespace is the workers' here.
    let own = unused(&rules.own, &asked, is_in(workers));
    assert!(own.is_empty(), "where it is itself: {own:?}");
}

/// As the chart installs it with `watchNamespaces`.
#[tokio::test]
async fn with_roles_alone_no_right_is_missing_but_to_nodes_and_none_is_too_many() {
    let Some(world) = World::shared_without_cluster_role().await else { return };
    let begun = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    world.certificate("cert").await;
    let rtmps = json!({ "protocol": "RTMPS", "tls": { "secretName": "cert" } });
    world.create("keynote", json!({ "broadcaster": "acme", "ingest": rtmps })).await;
    world.ready("keynote").await;
    suspend_twice(&world, "keynote").await;
    world.delete("keynote").await;
    operator.stop().await;

    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let refused = refused(&asked);
    assert!(refused.iter().all(|event| event.object_ref.resource == "nodes"), "{refused:#?}");
    let rules = OperatorRules::of_chart().unwrap();
    let streams = unused(rules.in_streams(), &asked, is_in(world.streams.name()));
    assert!(streams.is_empty(), "where streams are: {streams:?}");
    let children = unused(rules.of_children(), &asked, is_in(world.workers.name()));
    assert!(children.is_empty(), "where workers are: {children:?}");
}

#[tokio::test]
async fn of_children_only_those_with_its_labels_are_listed_and_watched() {
    let Some(world) = World::shared().await else { return };
    let begun = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let mut kinds = BTreeSet::new();
    for event in asked.iter().filter(|event| matches!(event.verb.as_str(), "list" | "watch")) {
        let resource = event.object_ref.resource.as_str();
        if !matches!(resource, "livestreams" | "nodes") {
            assert!(event.uri.contains("labelSelector="), "{event:#?}");
            kinds.insert(resource);
        }
    }
    let all = ["deployments", "ingresses", "poddisruptionbudgets", "pods", "services"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    operator.stop().await;
}
