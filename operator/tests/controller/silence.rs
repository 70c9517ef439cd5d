//! An API server, or what is between, that takes a watch and then says nothing.

use std::convert::Infallible;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Service;
use kube::Config;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use millrace_operator::controller::client;
use millrace_operator::controller::metrics::ControllerMetrics;
use millrace_operator::controller::watches::{Triggers, Watches};
use millrace_operator::reconcile::context::SeenStore;
use millrace_operator::reconcile::drains::Drains;
use millrace_platform::health::Health;
use millrace_platform::supervise::Supervisor;
use millrace_platform::telemetry::Metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::World;

/// Of the real process 100 s.
const PATIENCE: Duration = Duration::from_secs(2);

fn broken(metrics: &Metrics) -> u32 {
    let text = metrics.render();
    let name = "millrace_operator_watch_errors_total{watch=\"services\"} ";
    text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn a_silent_watch_is_broken_off_and_told_and_what_it_kept_back_is_seen() {
    let Some(world) = World::shared().await else { return };
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    let kubeconfig = Kubeconfig::read_from(world.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let metrics = Metrics::default();
    let (triggers, mut triggered) = Triggers::new(None);
    let seen = SeenStore::default();
    let watches = Watches {
        client: client::once_by(config, PATIENCE).unwrap(),
        namespaces: Some(vec![world.streams.name().to_owned()]),
        workers_namespace: world.workers.name().to_owned(),
        routes: false,
        seen: seen.clone(),
        drains: Drains::default(),
        triggers,
        metrics: ControllerMetrics::register(&metrics),
    };
    door.hush("services");
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone());
    let synced = watches.spawn(&mut supervisor, &Health::default());
    let drain = async move { while triggered[0].recv().await.is_some() {} };
    supervisor.spawn("triggers", drain.map(Ok::<_, Infallible>));
    // The list is answered.
    synced.wait().await;
    world.eventually("broken off twice", || async { broken(&metrics) >= 2 }).await;

    let services: Api<Service> = Api::namespaced(world.client(), world.workers.name());
    let labels = json!({
        "app.kubernetes.io/managed-by": "millrace-operator",
        "millrace.dev/livestream-uid": "u",
    });
    let service = json!({
        "metadata": { "name": "keynote", "labels": labels },
        "spec": { "ports": [{ "port": 1935 }] },
    });
    let service = serde_json::from_value(service).unwrap();
    services.create(&PostParams::default(), &service).await.unwrap();
    world.eventually("broken off again", || async { broken(&metrics) >= 3 }).await;
    assert!(seen.get("u").is_empty(), "it came through a silent watch");
    door.hush_nothing();
    world.eventually("seen", || async { !seen.get("u").is_empty() }).await;
    let watches = door.asked().iter().filter(|asked| asked.is("watch", "services")).count();
    assert!(watches < 40, "{watches} watches: a hot loop?");
    stop.cancel();
    let _ = supervisor.run(Duration::from_secs(5)).await;
}
