//! What the operator says of its reconciles in numbers.

use std::time::Duration;

use kube::Api;
use kube::api::{ListParams, PostParams};
use millrace_harness::cluster::door::{Asked, Refusal};
use millrace_harness::proxy::{Mode, Proxy};
use millrace_operator::api::LiveStream;
use millrace_platform::wall;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::refusals::{WATCHED, is_about};
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

/// Streams, each named after the stage in which it fails, and the request of that stage.
const STAGES: [(&str, &str, &str); 4] = [
    ("finalize", "patch", "livestreams"),
    ("dereference", "get", "secrets"),
    ("apply", "patch", "deployments"),
    ("status", "patch", "livestreams/status"),
];

fn errors_in(stage: &str) -> String {
    format!("operator_reconcile_errors_total{{stage=\"{stage}\"}}")
}

/// A proxy before Postgres, for operators that are started from now on.
pub(crate) async fn before_postgres(world: &mut World) -> Proxy {
    let (role, rest) = world.servers.database.split_once('@').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(address.parse().unwrap()).await.unwrap();
    world.servers.database = format!("{role}@{}/{name}", proxy.address());
    proxy
}

#[tokio::test]
async fn reconciles_that_fail_are_counted_by_stage_and_all_are_timed() {
    let (begun, clock) = (Instant::now(), wall::ms() / 1_000);
    let Some(mut world) = World::shared().await else { return };
    let postgres = before_postgres(&mut world).await;
    let (world, door) = (&world, world.cluster.door().await.unwrap());
    world.go_through(door.url());
    let operator = world.operator().await;
    for (stage, verb, resource) in STAGES {
        let is = move |asked: &Asked| asked.is(verb, resource) && is_about(asked, stage);
        door.refuse(Refusal::code(500), is);
        world.create(stage, json!({ "broadcaster": "acme" })).await;
    }
    for (stage, ..) in STAGES {
        let counted = || async { operator.counted(&errors_in(stage)).await > 0 };
        world.eventually(stage, counted).await;
    }
    let failing = async || operator.metric("operator_streams_failing").await;
    world.eventually("all failing", || async { failing().await == 4 }).await;
    door.refuse_nothing();
    for (stage, ..) in STAGES {
        world.ready(stage).await;
    }
    assert_eq!(operator.counted(&errors_in("external")).await, 0);
    postgres.set(Mode::Reset);
    world.create("external", json!({ "broadcaster": "acme" })).await;
    let counted = || async { operator.counted(&errors_in("external")).await > 0 };
    world.eventually("external", counted).await;
    postgres.set(Mode::Pass);
    world.ready("external").await;
    world.eventually("in order", || async { failing().await == 0 }).await;

    let ended = operator.metric("operator_reconciles_total").await;
    let errors = operator.metric("operator_reconcile_errors_total").await;
    assert!(errors >= 5 && ended >= errors + 5, "{errors} of {ended} failed");
    let timed = operator.metric("operator_reconcile_duration_seconds_count").await;
    assert!(timed >= ended, "{timed} of {ended}");
    // Sixteen at once at most.
    let took = operator.metric("operator_reconcile_duration_seconds_sum").await;
    let most = 16 * (begun.elapsed().as_secs() + 1);
    assert!((0..=i64::try_from(most).unwrap()).contains(&took), "{took} of {most} s");
    for watch in WATCHED {
        let name = format!("operator_watch_last_event_timestamp_seconds{{watch=\"{watch}\"}}");
        let last = operator.metric(&name).await;
        assert!((clock..=wall::ms() / 1_000 + 1).contains(&last), "{watch}: {last}");
    }
    operator.stop().await;
}
