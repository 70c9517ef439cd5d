//! What the operator asks of the API server, by the server's own log.

use std::time::Duration;

use serde_json::json;

use super::support::World;

/// Requests that say nothing about a stream.
fn is_lease(event: &millrace_harness::cluster::audit::Event) -> bool {
    event.object_ref.resource == "leases"
}

#[tokio::test]
async fn nothing_to_do_is_nothing_written_before_and_after_a_restart() {
    let Some(world) = World::shared().await else { return };
    let operator = world.operator().await;
    for name in ["one", "two", "three"] {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    for name in ["one", "two", "three"] {
        world.ready(name).await;
    }
    // The last news of pods has been written down when a stream that came
    // after them is done.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let quiet = world.cluster.moment().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = world.cluster.requests(&world.account.user(), quiet).await.unwrap();
    let idle: Vec<_> = idle.iter().filter(|event| !is_lease(event)).collect();
    assert!(idle.iter().all(|event| event.verb == "watch"), "{idle:#?}");

    operator.stop().await;
    let restarted = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    let done = || async { operator.metric("operator_reconciles_total").await >= 3 };
    world.eventually("reconciled", done).await;
    let asked = world.cluster.requests(&world.account.user(), restarted).await.unwrap();
    let written: Vec<_> =
        asked.iter().filter(|event| event.is_write() && !is_lease(event)).collect();
    assert!(written.is_empty(), "{written:#?}");
    let forbidden: Vec<_> = asked.iter().filter(|event| event.is_forbidden()).collect();
    assert!(forbidden.is_empty(), "{forbidden:#?}");
    operator.stop().await;
}
