//! Children that somebody changes, and children that follow the spec and what
//! Kubernetes says of them.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use millrace_operator::api::status::LiveStreamStatus;
use millrace_operator::reconcile::kind::Kind;
use serde_json::{Value, json};

use super::support::{Operator, World, condition};

fn ingest(reason: &'static str) -> impl Fn(&LiveStreamStatus) -> bool {
    move |status| condition(status, "IngestReady").reason == reason
}

/// Where any host under example.org may be had by an Ingress or a Gateway.
async fn with_hosts() -> Option<(World, Operator)> {
    let world = World::own().await?;
    world.cluster.install_http_routes().await.unwrap();
    let rules = json!([{
        "namespaces": [world.streams.name()],
        "hostSuffixes": ["example.org"],
        "ingressClasses": ["public"],
        "gateways": [{ "namespace": "edge", "name": "public" }],
    }]);
    let operator = world.start(&[("PLAYBACK_RULES", &rules.to_string())]);
    operator.wait_ready().await;
    Some((world, operator))
}

async fn routes(world: &World) -> Vec<String> {
    let all = world.children().await;
    let is = |child: &&String| child.starts_with("Ingress ") || child.starts_with("HTTPRoute ");
    all.iter().filter(is).filter_map(|child| Some(child.split_once(' ')?.0.to_owned())).collect()
}

#[tokio::test]
async fn what_routes_the_own_host_changes_its_kind_and_goes_with_the_host() {
    let Some((world, operator)) = with_hosts().await else { return };
    let gateway = json!({ "namespace": "edge", "name": "public" });
    let playback = json!({ "hostname": "a.example.org", "ingressClassName": "public" });
    world.create("keynote", json!({ "broadcaster": "acme", "playback": playback })).await;
    world.ready("keynote").await;
    assert_eq!(routes(&world).await, ["Ingress"]);
    for (change, expected) in [
        (json!({ "ingressClassName": null, "gateway": gateway }), vec!["HTTPRoute"]),
        (json!({ "ingressClassName": "public", "gateway": null }), vec!["Ingress"]),
        (json!({ "ingressClassName": null, "gateway": null, "hostname": null }), vec![]),
        (json!({ "gateway": gateway, "hostname": "b.example.org" }), vec!["HTTPRoute"]),
        (json!({ "gateway": null, "hostname": null }), vec![]),
    ] {
        world.patch("keynote", json!({ "spec": { "playback": change } })).await;
        let what = format!("routed by {expected:?}");
        world.eventually(&what, || async { routes(&world).await == expected }).await;
    }
    operator.stop().await;
}

/// Of each kind of child one field that is ours, and what somebody makes of it.
const DRIFTS: [(Kind, &str, &str, &str); 10] = [
    (Kind::Deployment, "-ingest", "/spec/template/spec/terminationGracePeriodSeconds", "7"),
    (Kind::Deployment, "-transcode", "/spec/replicas", "3"),
    (Kind::Service, "-ingest", "/spec/ports/0/port", "1234"),
    (Kind::Service, "-rtmp", "/spec/externalName", "\"elsewhere.example\""),
    (Kind::PodDisruptionBudget, "-ingest", "/spec/maxUnavailable", "2"),
    (Kind::Secret, "-rtmps-tls", "/data/tls.crt", "\"YWJj\""),
    (Kind::Secret, "-publish-keys", "/data/main", "\"YWJj\""),
    (Kind::Ingress, "-playback", "/spec/ingressClassName", "\"other\""),
    (Kind::HttpRoute, "-playback", "/spec/hostnames/0", "\"c.example.org\""),
    // A rule of a form that we make none of.
    (Kind::HttpRoute, "-playback", "/spec/rules/0", "{\"name\":\"theirs\"}"),
];

#[tokio::test]
async fn of_every_kind_of_child_a_field_that_somebody_changes_is_set_right() {
    let Some((world, operator)) = with_hosts().await else { return };
    world.certificate("cert").await;
    let ingress = json!({
        "broadcaster": "acme",
        "ingest": { "protocol": "RTMPS", "tls": { "secretName": "cert" } },
        "playback": { "hostname": "a.example.org", "ingressClassName": "public" },
    });
    let gateway = json!({ "namespace": "edge", "name": "public" });
    let gateway = json!({ "hostname": "b.example.org", "gateway": gateway });
    world.create("keynote", ingress).await;
    world.ready("keynote").await;
    for (kind, role, pointer, other) in DRIFTS {
        if kind == Kind::HttpRoute {
            let playback = json!({ "spec": { "playback": gateway } });
            world
                .patch("keynote", json!({ "spec": { "playback": { "ingressClassName": null } } }))
                .await;
            world.patch("keynote", playback).await;
            world.eventually("routed", || async { routes(&world).await == ["HTTPRoute"] }).await;
        }
        let (namespace, name) = find(&world, kind, role).await;
        let api = world.api(kind, &namespace);
        let before = api.get(&name).await.unwrap();
        let field = |object: &DynamicObject| object.data.pointer(pointer).cloned();
        let ours = field(&before);
        assert!(ours.is_some(), "{kind:?} {name} has no {pointer}");
        let other: Value = serde_json::from_str(other).unwrap();
        let drift = json!([{ "op": "replace", "path": pointer, "value": other }]);
        let drift = Patch::Json::<()>(serde_json::from_value(drift).unwrap());
        let drifted = api.patch(&name, &PatchParams::default(), &drift).await.unwrap();
        assert_ne!(field(&drifted), ours, "{kind:?} {name}");
        if kind == Kind::Secret {
            world.touch("keynote").await;
        }
        let what = format!("set right: {pointer} of {kind:?} {name}");
        let right = || async { field(&api.get(&name).await.unwrap()) == ours };
        // What is no key is made anew.
        if role == "-publish-keys" {
            let made = || async { field(&api.get(&name).await.unwrap()).as_ref() != Some(&other) };
            world.eventually(&what, made).await;
        } else {
            world.eventually(&what, right).await;
        }
        let after = api.get(&name).await.unwrap();
        assert_eq!(after.uid(), before.uid(), "not made anew");
        // A list is put back in several writes, the last of which gives up what the first took.
        let alone = || async { managers(&api.get(&name).await.unwrap()) == ["millrace-operator"] };
        world.eventually(&format!("{kind:?} {name} held by us alone"), alone).await;
    }
    operator.stop().await;
}

/// Those of ours that hold fields of an object.
fn managers(object: &DynamicObject) -> Vec<&str> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let all = entries.filter_map(|entry| entry.manager.as_deref());
    let ours: BTreeSet<_> = all.filter(|manager| manager.starts_with("millrace")).collect();
    ours.into_iter().collect()
}

/// Namespace and name of the child of a kind whose name ends so.
async fn find(world: &World, kind: Kind, role: &str) -> (String, String) {
    for namespace in [world.workers.name(), world.streams.name()] {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=millrace-operator");
        let all = world.api(kind, namespace).list(&ours).await.unwrap().items;
        if let Some(one) = all.iter().find(|one| one.name_any().ends_with(role)) {
            return (namespace.to_owned(), one.name_any());
        }
    }
    panic!("no {kind:?} …{role}");
}

#[tokio::test]
async fn a_balancer_is_waited_for_and_its_address_is_where_to_publish() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    let spec =
        json!({ "broadcaster": "acme", "ingest": { "service": { "type": "LoadBalancer" } } });
    world.create("keynote", spec).await;
    let status = world.until("keynote", "waiting", ingest("AddressPending")).await;
    assert_eq!(status.endpoints.unwrap().rtmp, None);

    let (namespace, name) = find(&world, Kind::Service, "-ingest").await;
    let services: Api<Service> = Api::namespaced(world.client(), &namespace);
    let given = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }] } } });
    services.patch_status(&name, &PatchParams::default(), &Patch::Merge(&given)).await.unwrap();
    let status = world.ready("keynote").await;
    assert!(ingest("PodReady")(&status));
    let rtmp = status.endpoints.unwrap().rtmp.unwrap();
    assert!(rtmp.starts_with("rtmp://192.0.2.7:"), "{rtmp}");
    operator.stop().await;
}

#[tokio::test]
async fn ports_of_nodes_need_a_name_and_viewers_an_address_and_conditions_say_so() {
    let Some(world) = World::shared().await else { return };
    let spec = json!({ "broadcaster": "acme", "ingest": { "service": { "type": "NodePort" } } });
    let operator = world.operator().await;
    world.create("keynote", spec).await;
    let status = world.until("keynote", "refused", ingest("ExternalHostMissing")).await;
    assert_eq!(condition(&status, "PlaybackReady").reason, "NotExposed");
    operator.stop().await;

    let settings = [("EXTERNAL_HOST", "nodes.example"), ("PUBLIC_URL", "https://video.example")];
    let operator = world.start(&settings);
    operator.wait_ready().await;
    let status = world.ready("keynote").await;
    assert_eq!(condition(&status, "PlaybackReady").reason, "Routed");
    let endpoints = status.endpoints.unwrap();
    assert!(endpoints.rtmp.unwrap().starts_with("rtmp://nodes.example:3"));
    assert!(endpoints.hls.unwrap().starts_with("https://video.example/hls/"));
    operator.stop().await;
}

/// Say of all pods of a component what a kubelet would.
async fn pods_say(world: &World, component: &str, status: &Value) {
    let pods: Api<Pod> = Api::namespaced(world.client(), world.workers.name());
    let its = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
    for pod in pods.list(&its).await.unwrap().items {
        let status = Patch::Merge(json!({ "status": status }));
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &status).await.unwrap();
    }
}

#[tokio::test]
async fn a_pod_that_keeps_ending_fails_and_one_that_runs_for_long_is_not_ready() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let container = |name: &str, state: Value| {
        json!({
            "name": name, "image": "i", "imageID": "i", "ready": false, "restartCount": 3,
            "state": state,
            "lastState": { "terminated": { "exitCode": 3 } },
        })
    };
    let unready = |containers: Value| {
        json!({
            "conditions": [{ "type": "Ready", "status": "False" }],
            "containerStatuses": containers,
        })
    };
    let waits = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 40s" } });
    pods_say(&world, "ingest", &unready(json!([container("ingest", waits.clone())]))).await;
    pods_say(&world, "transcode", &unready(json!([container("transcode", waits)]))).await;
    let failing = |status: &LiveStreamStatus| {
        ["IngestReady", "TranscodeReady"]
            .iter()
            .all(|one| condition(status, one).reason == "PodFailing")
    };
    let status = world.until("keynote", "failing", failing).await;
    let message = &condition(&status, "IngestReady").message;
    assert!(message.contains("CrashLoopBackOff (last exit 3): back-off 40s"), "{message}");

    let runs = |seconds: i64| {
        let started = Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap();
        json!({ "running": { "startedAt": started } })
    };
    pods_say(&world, "ingest", &unready(json!([container("ingest", runs(600))]))).await;
    pods_say(&world, "transcode", &unready(json!([container("transcode", runs(0))]))).await;
    let told = |status: &LiveStreamStatus| {
        ingest("PodNotReady")(status) && condition(status, "TranscodeReady").reason == "PodStarting"
    };
    world.until("keynote", "not ready", told).await;
    operator.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_copied_and_one_that_is_none_is_refused() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    let rtmps = json!({ "protocol": "RTMPS", "tls": { "secretName": "cert" } });
    world.pair("cert", "a certificate", "a key").await;
    world.create("keynote", json!({ "broadcaster": "acme", "ingest": rtmps })).await;
    let refused = |status: &_| condition(status, "Accepted").reason == "SecretMissing";
    let status = world.until("keynote", "refused", refused).await;
    let message = &condition(&status, "Accepted").message;
    assert!(message.contains("has no certificate in PEM in tls.crt"), "{message}");

    world.certificate("cert").await;
    world.touch("keynote").await;
    world.ready("keynote").await;
    let data = async |namespace: &str, name: &str| {
        let secrets: Api<Secret> = Api::namespaced(world.client(), namespace);
        secrets.get(name).await.unwrap().data.unwrap()
    };
    let (namespace, copy) = find(&world, Kind::Secret, "-rtmps-tls").await;
    let first = data(world.streams.name(), "cert").await;
    assert_eq!(data(&namespace, &copy).await, first);
    world.certificate("cert").await;
    let renewed = data(world.streams.name(), "cert").await;
    assert_ne!(renewed, first);
    world.touch("keynote").await;
    let copied = || async { data(&namespace, &copy).await == renewed };
    world.eventually("copied", copied).await;

    // One that is broken does not replace the one that works.
    world.pair("cert", "a certificate", "a key").await;
    world.touch("keynote").await;
    world.until("keynote", "refused", refused).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(data(&namespace, &copy).await, renewed);
    operator.stop().await;
}
