//! A stream from its making to its end.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Secret, Service};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use millrace_operator::api::status::Phase;
use millrace_operator::reconcile::kind::Kind;
use serde_json::json;

use super::support::{World, condition, manifest};

#[tokio::test]
async fn a_stream_is_wired_becomes_ready_and_leaves_nothing() {
    let Some(world) = World::shared().await else { return };
    let operator = world.start(&[("SWEEP_AFTER_SECONDS", "10"), ("SWEEP_EVERY_SECONDS", "1")]);
    operator.wait_ready().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let status = world.ready("keynote").await;
    assert_eq!(world.registered().await, 1);
    for needed in ["Accepted", "KeysReady", "TopicsReady", "IngestReady", "TranscodeReady", "Ready"]
    {
        assert_eq!(format!("{:?}", condition(&status, needed).status), "True", "{needed}");
    }
    assert_eq!(condition(&status, "Live").reason, "NoBroadcast");
    let rtmp = status.endpoints.unwrap().rtmp.unwrap();
    let local = format!("rtmp://keynote-rtmp.{}.svc.cluster.local:1935/live", world.streams.name());
    assert_eq!(rtmp, local);
    assert_eq!(world.keys("keynote").await.len(), 1);
    let children = world.children().await;
    assert_eq!(children.len(), 6, "{children:?}");

    let listed = world.cluster.kubectl(&["get", "ls", "-n", world.streams.name()]).await.unwrap();
    assert!(listed.contains("PHASE") && listed.contains("Ready"), "{listed}");

    world.delete("keynote").await;
    world.eventually("without children", || async { world.children().await.is_empty() }).await;
    // The row goes last, though there is no other LiveStream.
    world.eventually("swept", || async { world.registered().await == 0 }).await;
    operator.stop().await;
}

#[tokio::test]
async fn what_people_change_of_ours_is_put_back_and_what_they_add_stays() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let deployments: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let ingest = deployments.list(&ListParams::default()).await.unwrap().items;
    let ingest = ingest.iter().filter_map(|d| d.metadata.name.clone());
    let ingest = ingest.filter(|name| name.ends_with("ingest")).collect::<Vec<_>>().pop().unwrap();

    let merge = |patch| Patch::Merge(patch);
    let parameters = PatchParams::default();
    let theirs = json!({
        "metadata": { "labels": { "team": "video" } },
        "spec": { "replicas": 4, "template": { "spec": { "terminationGracePeriodSeconds": 1 } } },
    });
    deployments.patch(&ingest, &parameters, &merge(&theirs)).await.unwrap();
    world
        .eventually("put back", || async {
            let spec = deployments.get(&ingest).await.unwrap().spec.unwrap();
            let grace = spec.template.spec.unwrap().termination_grace_period_seconds;
            spec.replicas == Some(1) && grace != Some(1)
        })
        .await;
    let labels = deployments.get(&ingest).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels.get("team").map(String::as_str), Some("video"));

    let services: Api<Service> = Api::namespaced(world.client(), world.streams.name());
    services.delete("keynote-rtmp", &DeleteParams::default()).await.unwrap();
    world
        .eventually("there again", || async {
            services.get_opt("keynote-rtmp").await.unwrap().is_some()
        })
        .await;
}

#[tokio::test]
async fn fields_that_exclude_ours_are_taken_away() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let by_hand = PatchParams { field_manager: Some("by-hand".to_owned()), ..Default::default() };
    let rolling = json!({ "spec": { "strategy": { "type": "RollingUpdate" } } });
    let least = json!({ "spec": { "maxUnavailable": null, "minAvailable": 1 } });
    for (kind, theirs, where_it_is) in [
        (Kind::Deployment, rolling, "/spec/strategy/rollingUpdate"),
        (Kind::PodDisruptionBudget, least, "/spec/minAvailable"),
    ] {
        let api = world.api(kind, world.workers.name());
        let name = api.list(&ListParams::default()).await.unwrap().items[0].name_any();
        let before = api.get(&name).await.unwrap().data["spec"].clone();
        let patched = api.patch(&name, &by_hand, &Patch::Merge(&theirs)).await.unwrap();
        assert!(json!(patched).pointer(where_it_is).is_some(), "{patched:?}");
        world
            .eventually("as before", || async {
                api.get(&name).await.unwrap().data["spec"] == before
            })
            .await;
    }
}

#[tokio::test]
async fn a_lost_secret_means_new_keys_and_a_rotation_keeps_the_old_one_for_a_while() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let first = world.keys("keynote").await["main"].clone();

    let keys = json!({ "spec": { "keys": [{ "name": "main", "rotation": 1, "overlap": "10m" }] } });
    world.patch("keynote", keys).await;
    world.eventually("rotated", || async { world.keys("keynote").await.len() == 2 }).await;
    let rotated = world.keys("keynote").await;
    assert_eq!(rotated["main.previous"], first);
    assert_ne!(rotated["main"], first);

    let secrets: Api<Secret> = Api::namespaced(world.client(), world.streams.name());
    secrets.delete("keynote-publish-keys", &DeleteParams::default()).await.unwrap();
    // Secrets are not watched: whoever can't wait ten minutes touches the stream.
    world.patch("keynote", json!({ "metadata": { "annotations": { "look": "again" } } })).await;
    world
        .eventually("there again", || async {
            secrets.get_opt("keynote-publish-keys").await.unwrap().is_some()
        })
        .await;
    let new = world.keys("keynote").await;
    assert!(new["main"] != first && new["main"] != rotated["main"], "a lost key may be known");
    let events: Api<Event> = Api::namespaced(world.client(), world.streams.name());
    world
        .eventually("told", || async {
            let all = events.list(&ListParams::default()).await.unwrap();
            all.items.iter().any(|event| event.reason.as_deref() == Some("KeysSecretLost"))
        })
        .await;
}

#[tokio::test]
async fn a_suspended_stream_keeps_its_addresses_and_nothing_that_runs() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    world.ready("keynote").await;
    let key = world.keys("keynote").await;

    world.patch("keynote", json!({ "spec": { "suspend": true } })).await;
    let status = world.until_phase("keynote", Phase::Suspended).await;
    assert_eq!(condition(&status, "IngestReady").reason, "Suspended");
    world
        .eventually("without Deployments", || async {
            let left = world.children().await;
            left.len() == 3 && left.iter().all(|c| !c.starts_with("Deployment"))
        })
        .await;

    world.patch("keynote", json!({ "spec": { "suspend": false } })).await;
    world.ready("keynote").await;
    assert_eq!(world.keys("keynote").await, key);
}

#[tokio::test]
async fn an_object_of_somebody_else_is_neither_taken_nor_deleted() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let services: Api<Service> = Api::namespaced(world.client(), world.streams.name());
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "keynote-rtmp" },
        "spec": { "type": "ExternalName", "externalName": "elsewhere.example" },
    }))
    .unwrap();
    services.create(&PostParams::default(), &theirs).await.unwrap();
    world.create("keynote", json!({ "broadcaster": "acme" })).await;
    let refused = |status: &_| condition(status, "IngestReady").reason == "NotApplied";
    let status = world.until("keynote", "refused", refused).await;
    let message = &condition(&status, "IngestReady").message;
    assert!(message.contains("keynote-rtmp") && message.contains("somebody else"), "{message}");
    world.delete("keynote").await;
    let left = services.get("keynote-rtmp").await.unwrap().spec.unwrap();
    assert_eq!(left.external_name.as_deref(), Some("elsewhere.example"));
}

#[tokio::test]
async fn the_first_to_ask_has_the_host_and_the_next_gets_it_when_it_goes() {
    let Some(world) = World::shared().await else { return };
    let rules = json!([{ "namespaces": [world.streams.name()], "hostSuffixes": ["example.org"] }]);
    let operator = world.start(&[("PLAYBACK_RULES", &rules.to_string())]);
    operator.wait_ready().await;
    let spec = |host: &str| json!({ "broadcaster": "acme", "playback": { "hostname": host } });
    world.create("first", spec("live.example.org")).await;
    world.ready("first").await;
    // Creation times have whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.create("second", spec("live.example.org")).await;
    world.create("third", spec("live.example.com")).await;
    let reason =
        |reason: &'static str| move |status: &_| condition(status, "Accepted").reason == reason;
    world.until("second", "refused", reason("HostTaken")).await;
    world.until("third", "refused", reason("HostNotAllowed")).await;

    world.delete("first").await;
    world.until("second", "accepted", reason("Accepted")).await;
}

#[tokio::test]
async fn a_stream_restored_with_its_finalizer_can_still_be_deleted() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let mut restored = manifest("keynote", json!({ "broadcaster": "acme" }));
    restored.metadata.finalizers = Some(vec!["millrace.dev/children".to_owned()]);
    world.livestreams().create(&PostParams::default(), &restored).await.unwrap();
    world.ready("keynote").await;
    world.delete("keynote").await;
    world.eventually("without children", || async { world.children().await.is_empty() }).await;
}

#[tokio::test]
async fn a_copied_certificate_goes_with_the_spec_that_asked_for_it() {
    let Some(world) = World::shared().await else { return };
    let _operator = world.operator().await;
    let rtmps = json!({
        "broadcaster": "acme",
        "ingest": { "protocol": "RTMPS", "tls": { "secretName": "cert" } },
    });
    world.create("keynote", rtmps).await;
    let missing = |status: &_| condition(status, "Accepted").reason == "SecretMissing";
    world.until("keynote", "waiting", missing).await;

    world.certificate("cert").await;
    world.patch("keynote", json!({ "metadata": { "annotations": { "look": "again" } } })).await;
    world.ready("keynote").await;
    let copies = || async {
        let all = world.children().await;
        all.iter().filter(|child| child.ends_with("-rtmps-tls")).count()
    };
    assert_eq!(copies().await, 1);

    let plain = json!({ "spec": { "ingest": { "protocol": "RTMP", "tls": null } } });
    world.patch("keynote", plain).await;
    world.eventually("pruned", || async { copies().await == 0 }).await;
}
