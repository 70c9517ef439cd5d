//! An API server that refuses what it is asked: with too much to do, with a
//! conflict, with an error, and with what it has forgotten.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, ListParams};
use millrace_harness::cluster::door::{Asked, Door, Refusal};
use serde_json::json;
use tokio::time::Instant;

use super::faults::holder;
use super::support::{Operator, World};

/// An operator that goes through a door.
async fn behind_a_door(settings: &[(&str, &str)]) -> Option<(World, Door, Operator)> {
    let world = World::shared().await?;
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    let operator = world.start(settings);
    operator.wait_ready().await;
    Some((world, door, operator))
}

/// It is about this stream or one of its children.
pub(crate) fn is_about(asked: &Asked, stream: &str) -> bool {
    let name = &asked.object.name;
    name.strip_prefix(stream).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// How often each request about a stream was made.
fn counts(door: &Door, stream: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in door.asked().iter().filter(|asked| is_about(asked, stream)) {
        *counts.entry(asked.what()).or_insert(0) += 1;
    }
    counts
}

/// Streams, each with how everything about it is refused.
const REFUSED: [(&str, Refusal); 4] = [
    ("conflict", Refusal { code: 409, retry_after: None }),
    ("throttled", Refusal { code: 429, retry_after: Some(1) }),
    ("broken", Refusal { code: 500, retry_after: None }),
    ("unavailable", Refusal { code: 503, retry_after: None }),
];

/// What a stream's life needs at least.
const NEEDED: [(&str, &str); 13] = [
    ("patch", "livestreams"),
    ("get", "secrets"),
    ("patch", "secrets"),
    ("patch", "services"),
    ("patch", "poddisruptionbudgets"),
    ("patch", "deployments"),
    ("patch", "livestreams/status"),
    ("get", "deployments"),
    ("delete", "deployments"),
    ("delete", "poddisruptionbudgets"),
    ("delete", "services"),
    ("delete", "secrets"),
    ("get", "services"),
];

/// From now on each request about these streams is refused when it is made for
/// the first time, if it is one of `which`.
fn refuse_first(door: &Door, which: fn(&Asked) -> bool) {
    door.refuse_nothing();
    for (stream, refusal) in REFUSED {
        let mut before = HashSet::new();
        door.refuse(refusal, move |asked| {
            which(asked) && is_about(asked, stream) && before.insert(asked.what())
        });
    }
}

async fn with_preset(world: &World, preset: &str) -> usize {
    let api: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let is = |one: &&Deployment| {
        let spec = one.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let env = spec.containers[0].env.iter().flatten();
        env.into_iter().any(|e| e.name == "PRESET" && e.value.as_deref() == Some(preset))
    };
    all.iter().filter(is).count()
}

#[tokio::test]
async fn a_stream_lives_its_life_though_each_request_is_refused_once() {
    let Some((world, door, operator)) = behind_a_door(&[]).await else { return };
    let streams = REFUSED.map(|(stream, _)| stream);
    refuse_first(&door, |_| true);
    for stream in streams {
        world.create(stream, json!({ "broadcaster": "acme" })).await;
    }
    for stream in streams {
        world.ready(stream).await;
    }
    refuse_first(&door, |_| true);
    for stream in streams {
        world.patch(stream, json!({ "spec": { "transcode": { "preset": "medium" } } })).await;
    }
    world.eventually("changed", || async { with_preset(&world, "medium").await == 4 }).await;
    for stream in streams {
        world.ready(stream).await;
    }
    // The status alone: nothing but its refusal brings the stream back.
    door.refuse_nothing();
    let mut first = true;
    door.refuse(Refusal::code(409), move |asked| {
        let is = asked.is("patch", "livestreams/status") && is_about(asked, "conflict");
        is && std::mem::take(&mut first)
    });
    world.patch("conflict", json!({ "spec": { "deletionPolicy": "Delete" } })).await;
    world.until("conflict", "seen to be changed", |_| true).await;

    // The throttled one is sent away by each.
    refuse_first(&door, |asked| asked.verb != "get");
    world.delete_all(&streams).await;
    let forgotten = || async { operator.metric("operator_streams_failing").await == 0 };
    world.eventually("forgotten", forgotten).await;
    operator.stop().await;

    let all = door.asked();
    for (stream, refusal) in REFUSED {
        let counts = counts(&door, stream);
        println!("{stream}: {counts:#?}");
        for (verb, resource) in NEEDED {
            let is = |one: &&Asked| one.is(verb, resource) && is_about(one, stream);
            let refused = all.iter().filter(is).any(|one| one.refused.is_some());
            assert!(refused, "never refused: {verb} {resource} of {stream}");
        }
        assert!(counts.values().all(|count| *count < 40), "a hot loop? {stream}: {counts:#?}");
        let Some(seconds) = refusal.retry_after else { continue };
        for refused in all.iter().filter(|one| is_about(one, stream) && one.refused.is_some()) {
            let until = refused.at + Duration::from_secs(seconds);
            let again =
                |a: &&Asked| a.what() == refused.what() && a.at > refused.at && a.at < until;
            let again: Vec<_> = all.iter().filter(again).collect();
            assert!(again.is_empty(), "not waited for: {refused:?} {again:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_sent_away_takes_no_other_ones_place() {
    let one_place = [("RECONCILE_CONCURRENCY", "1")];
    let Some((world, door, operator)) = behind_a_door(&one_place).await else { return };
    door.refuse(Refusal::after(6), |asked| is_about(asked, "refused"));
    let begun = Instant::now();
    world.create("refused", json!({ "broadcaster": "acme" })).await;
    let asked = || async { !counts(&door, "refused").is_empty() };
    world.eventually("refused", asked).await;
    world.create("other", json!({ "broadcaster": "acme" })).await;
    world.ready("other").await;
    // What is changed meanwhile does not bring it back before its time.
    for note in ["a", "b", "c"] {
        world.patch("refused", json!({ "metadata": { "annotations": { "note": note } } })).await;
        world.patch("other", json!({ "metadata": { "annotations": { "note": note } } })).await;
    }
    // Longer than changes are gathered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked: usize = counts(&door, "refused").values().sum();
    let most = 1 + begun.elapsed().as_secs() / 6;
    assert!(u64::try_from(asked).unwrap() <= most, "{asked} of at most {most} requests");
    door.refuse_nothing();
    world.ready("refused").await;
    operator.stop().await;
}

pub(crate) const WATCHED: [&str; 6] =
    ["livestreams", "deployments", "pods", "services", "poddisruptionbudgets", "ingresses"];

#[tokio::test]
async fn watches_that_are_too_old_list_anew_without_haste_and_miss_nothing() {
    let Some((world, door, operator)) = behind_a_door(&[]).await else { return };
    for stream in ["before", "deleted"] {
        world.create(stream, json!({ "broadcaster": "acme" })).await;
        world.ready(stream).await;
    }
    door.forget();
    // The list itself may have expired too, the server be starting or broken.
    door.refuse(Refusal::code(410), |asked| asked.verb == "list");
    let begun = Instant::now();
    for resource in WATCHED {
        assert!(door.end_watches(resource, Refusal::code(410)) > 0);
    }
    for resource in WATCHED {
        let fails = || async { operator.check(resource).await["ok"] == false };
        world.eventually("said not to be watched", fails).await;
    }
    // What is missed: a new stream, one that is to go, and a child that is gone.
    world.create("during", json!({ "broadcaster": "acme" })).await;
    let (api, now) = (world.livestreams(), DeleteParams::default());
    api.delete("deleted", &now).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(world.client(), world.workers.name());
    let of = ListParams::default().labels("millrace.dev/livestream=before");
    for one in deployments.list(&of).await.unwrap().items {
        deployments.delete(&one.metadata.name.unwrap(), &now).await.unwrap();
    }
    let tries = || door.asked().iter().filter(|asked| asked.verb == "list").count();
    world.eventually("tried again", || async { tries() > 28 }).await;
    // Seven watches: each waits for 0.4 s at least, doubled each time.
    let (tries, waited) = (tries(), begun.elapsed().as_secs_f64());
    let most = 7.0 * (waited / 0.4 + 1.0).log2();
    assert!(f64::from(u32::try_from(tries).unwrap()) <= most, "{tries} of at most {most} lists");

    door.refuse_nothing();
    world.ready("during").await;
    world.ready("before").await;
    let back = || async { deployments.list(&of).await.unwrap().items.len() == 2 };
    world.eventually("there again", back).await;
    world.eventually("gone", || async { api.get_opt("deleted").await.unwrap().is_none() }).await;
    operator.wait_ready().await;
    operator.stop().await;
}

#[tokio::test]
async fn a_leader_whose_lease_is_refused_ends_before_another_leads() {
    let Some((world, door, mut first)) = behind_a_door(&[]).await else { return };
    world.go_through(&world.cluster.url());
    let second = world.start(&[("POD_NAME", "second")]);
    world.create("before", json!({ "broadcaster": "acme" })).await;
    world.ready("before").await;
    door.forget();
    let held = holder(&world).await;
    let refused = Instant::now();
    door.refuse(Refusal::after(1), |asked| asked.object.resource == "leases");
    let leads = || async { second.metric("operator_leader").await == 1 };
    world.eventually("led by the second", leads).await;
    println!("handed over within {:.1} s", refused.elapsed().as_secs_f64());
    let now = holder(&world).await;
    assert_eq!((now.0.as_str(), now.1), ("second", held.1 + 1), "{held:?}");
    let before = door.asked();
    let refused = before.iter().filter(|asked| asked.refused.is_some()).count();
    // One a second at most, for as long as it may lead.
    assert!((1..=13).contains(&refused), "{refused} requests");
    world.create("after", json!({ "broadcaster": "acme" })).await;
    world.ready("after").await;
    assert_eq!(door.asked().len(), before.len(), "two lead");
    first.wait_ended().await;
    second.stop().await;
}

#[tokio::test]
async fn a_leader_whose_lists_are_refused_is_not_ready_and_ends_when_it_is_told_to() {
    let Some(world) = World::shared().await else { return };
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    door.refuse(Refusal::code(503), |asked| {
        asked.verb == "list" && WATCHED.contains(&asked.object.resource.as_str())
    });
    let operator = world.start(&[]);
    operator.wait_leads().await;
    for check in ["livestreams", "pods", "services"] {
        let said = || async { operator.check(check).await["detail"].to_string().contains("503") };
        world.eventually("said to be refused", said).await;
    }
    assert_eq!(operator.check("synced").await["ok"], json!(false));
    // Which it does with success alone.
    operator.stop().await;
}
