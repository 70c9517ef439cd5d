//! Before the operator is uninstalled: LiveStreams are let go.

use std::process::{Output, Stdio};
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use millrace_operator::api::LiveStream;
use serde_json::json;
use tokio::process::{Child, Command};

use super::support::{World, manifest};

/// Starts `millrace-operator release` as the operator's account.
fn release(world: &World, more: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_millrace-operator"))
        .arg("release")
        .env_clear()
        .env("KUBECONFIG", world.kubeconfig())
        .env("POD_NAMESPACE", world.workers.name())
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn end(child: Child) -> Output {
    let output = child.wait_with_output();
    tokio::time::timeout(Duration::from_mins(1), output).await.expect("it does not end").unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[tokio::test]
async fn it_waits_until_no_operator_works_and_then_lets_all_go() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    for name in ["one", "two"] {
        world.create(name, json!({ "broadcaster": "acme" })).await;
        world.ready(name).await;
    }
    let held = async || {
        let streams = world.livestreams().list(&kube::api::ListParams::default()).await.unwrap();
        streams.items.iter().filter(|stream| !stream.finalizers().is_empty()).count()
    };
    assert_eq!(held().await, 2);

    let watch = [("WATCH_NAMESPACES", world.streams.name())];
    let mut waiting = release(&world, &watch);
    // Longer than a reconcile takes, shorter than a Lease is good for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(waiting.try_wait().unwrap().is_none(), "it did not wait for the operator");
    assert_eq!(held().await, 2);

    operator.stop().await;
    let output = end(waiting).await;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(held().await, 0);
    for name in ["one", "two"] {
        world.livestreams().delete(name, &DeleteParams::default()).await.unwrap();
    }
    let api = &world.livestreams();
    for name in ["one", "two"] {
        assert!(api.get_opt(name).await.unwrap().is_none(), "{name} waits for an operator");
    }
    // An operator that comes later can lead at once.
    world.operator().await.stop().await;
}

#[tokio::test]
async fn only_the_finalizer_of_ours_and_only_where_it_is_told_to() {
    let Some(world) = World::shared().await else { return };
    let elsewhere = world.cluster.namespace("elsewhere").await.unwrap();
    let mut stream = manifest("keynote", json!({ "broadcaster": "acme" }));
    let finalizers = ["example.org/own", "millrace.dev/children"];
    stream.metadata.finalizers = Some(finalizers.map(str::to_owned).to_vec());
    let api: Api<LiveStream> = Api::namespaced(world.client(), elsewhere.name());
    api.create(&PostParams::default(), &stream).await.unwrap();
    world.livestreams().create(&PostParams::default(), &stream).await.unwrap();

    let output = end(release(&world, &[("WATCH_NAMESPACES", world.streams.name())])).await;
    assert!(output.status.success(), "{}", said(&output));
    let here = world.livestreams().get("keynote").await.unwrap();
    assert_eq!(here.finalizers(), ["example.org/own"]);
    assert_eq!(api.get("keynote").await.unwrap().finalizers(), finalizers);

    for api in [api, world.livestreams()] {
        let none = kube::api::Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        api.patch("keynote", &kube::api::PatchParams::default(), &none).await.unwrap();
    }
}
