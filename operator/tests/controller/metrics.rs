//! What the operator says of its reconciles in numbers.

use std::time::Duration;

use kube::Api;
use kube::api::{ListParams, PostParams};
use millrace_operator::api::LiveStream;
use serde_json::json;
use tokio::time::sleep;

use super::support::{World, manifest};

async fn without_status(namespaces: &[Api<LiveStream>]) -> usize {
    let mut count = 0;
    for namespace in namespaces {
        let all = namespace.list(&ListParams::default()).await.unwrap().items;
        count += all.iter().filter(|stream| stream.status.is_none()).count();
    }
    count
}

/// Each namespace has a queue of its own.
#[tokio::test]
async fn no_more_reconciles_run_at_once_than_may_in_all_namespaces_together() {
    let Some(world) = World::shared().await else { return };
    let other = world.cluster.namespace("streams").await.unwrap();
    let both = format!("{},{}", world.streams.name(), other.name());
    let namespaces = [world.livestreams(), Api::namespaced(world.client(), other.name())];
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    let operator = world.start(&[("RECONCILE_CONCURRENCY", "2"), ("WATCH_NAMESPACES", &both)]);
    operator.wait_ready().await;
    door.slow_down(Duration::from_millis(30));
    for number in 0..10 {
        let stream = manifest(&format!("s{number}"), json!({ "broadcaster": "acme" }));
        for namespace in &namespaces {
            namespace.create(&PostParams::default(), &stream).await.unwrap();
        }
    }
    let (mut running, mut waiting) = (0, 0);
    let sampling = async {
        loop {
            running = running.max(operator.metric("operator_reconciles_running").await);
            waiting = waiting.max(operator.metric("operator_streams_waiting").await);
            sleep(Duration::from_millis(5)).await;
        }
    };
    let reconciled = || async { without_status(&namespaces).await == 0 };
    tokio::select! {
        () = world.eventually("reconciled", reconciled) => {}
        () = sampling => {}
    }
    assert_eq!(running, 2);
    assert!(waiting > 0, "nobody waited");
    for left in ["operator_reconciles_running", "operator_streams_waiting"] {
        world.eventually("at rest", || async { operator.metric(left).await == 0 }).await;
    }
    operator.stop().await;
}
