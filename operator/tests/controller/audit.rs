//! What the operator asks of the API server, by the server's own log.

use millrace_harness::cluster::audit;
use millrace_harness::cluster::rbac::OperatorRules;
use millrace_operator::api::status::Phase;
use serde_json::json;

use super::support::World;

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
    let settings = [("PLAYBACK_RULES", rules.as_str())];
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
    // One thing twice is one Event, counted.
    for _ in 0..2 {
        world.patch("gateway", json!({ "spec": { "suspend": true } })).await;
        world.until_phase("gateway", Phase::Suspended).await;
        world.patch("gateway", json!({ "spec": { "suspend": false } })).await;
        world.ready("gateway").await;
    }
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
    let forbidden: Vec<_> = asked.iter().filter(|event| event.is_forbidden()).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    let rules = OperatorRules::of_chart().unwrap();
    let unused = audit::unused(rules.all(), &asked);
    let unused: Vec<_> = unused.iter().map(ToString::to_string).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[tokio::test]
async fn of_children_only_those_with_its_labels_are_listed_and_watched() {
    let Some(world) = World::shared().await else { return };
    let begun = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let mut kinds = std::collections::BTreeSet::new();
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
