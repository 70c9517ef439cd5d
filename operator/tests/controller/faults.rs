//! An API server that comes and goes, that is slow, and that has too much to
//! do; a replica that is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use millrace_harness::cluster::door::Asked;
use serde_json::json;
use tokio::time::Instant;

use super::outages::{children_of, says};
use super::refusals::is_about;
use super::support::World;

#[tokio::test]
async fn an_api_server_that_restarts_is_waited_for_without_haste() {
    let Some(world) = World::own().await else { return };
    let mut operator = world.operator().await;
    let mut second = world.start(&[("POD_NAME", "second")]);
    world.create("before", json!({ "broadcaster": "acme" })).await;
    world.ready("before").await;
    let asked = world.cluster.moment().await.unwrap();
    world.cluster.stop_api_server().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.cluster.start_api_server().await.unwrap();

    // The operator may have gone on, or ended for its Lease and be started
    // again, as a kubelet does. One that waits for the Lease waits on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!second.has_ended());
    if operator.has_ended() {
        operator = world.start(&[]);
    }
    world.create("after", json!({ "broadcaster": "acme" })).await;
    world.ready("after").await;
    let requests = world.cluster.requests(&world.account.user(), asked).await.unwrap();
    assert!(requests.len() < 400, "{} requests", requests.len());
    second.stop().await;
    operator.stop().await;
}

/// The audit log sees nothing of it: what is asked meanwhile is counted at a door.
#[tokio::test]
async fn an_api_server_that_is_away_for_longer_than_a_lease_lasts_is_asked_without_haste() {
    let Some(world) = World::own().await else { return };
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    let mut operator = world.operator().await;
    let names = ["one", "two", "three", "four"];
    door.slow_down(Duration::from_millis(100));
    for name in names {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    // So that reconciles fail too.
    let at_work = || async { operator.metric("operator_reconciles_running").await > 0 };
    world.eventually("at work", at_work).await;
    world.cluster.stop_api_server().await.unwrap();
    door.slow_down(Duration::ZERO);
    door.forget();
    let status = operator.wait_ended().await;
    assert_eq!(status.code(), Some(1), "{}", world.log_tail());
    let by_leader = door.asked();

    door.forget();
    operator = world.start(&[]);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(!operator.has_ended(), "{}", world.log_tail());
    let by_next = door.asked();
    world.cluster.start_api_server().await.unwrap();
    operator.wait_ready().await;
    world.create("after", json!({ "broadcaster": "acme" })).await;
    // Nobody makes pods for a while: the controllers have waited too.
    for name in names.iter().chain(&["after"]) {
        world.until(name, "made", says("KeysReady=KeysReady TopicsReady=TopicsReady")).await;
        assert_eq!(children_of(&world, name).await, 6, "{name}");
    }
    operator.stop().await;
    let of_streams = |asked: &Asked| names.iter().any(|name| is_about(asked, name));
    let (of_streams, rest): (Vec<_>, Vec<_>) = by_leader.into_iter().partition(of_streams);
    let counted = [of_streams, rest, by_next].map(|asked| (asked.len(), tally(&asked)));
    println!("of streams, the rest, by the next: {counted:#?}");
    assert!((1..=60).contains(&counted[0].0), "a hot loop?");
    assert!((10..=100).contains(&counted[1].0), "a hot loop?");
    assert!((3..=20).contains(&counted[2].0), "a hot loop?");
}

/// How often each request was made.
fn tally(asked: &[Asked]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for one in asked {
        *counts.entry(one.what()).or_insert(0) += 1;
    }
    counts
}

/// Who has the Lease, and how often it has changed hands.
pub(crate) async fn holder(world: &World) -> (String, i32) {
    let leases: Api<Lease> = Api::namespaced(world.client(), world.workers.name());
    let spec = leases.get("millrace-operator").await.unwrap().spec.unwrap();
    (spec.holder_identity.unwrap_or_default(), spec.lease_transitions.unwrap_or_default())
}

#[tokio::test]
async fn a_second_replica_takes_over_from_one_that_was_killed() {
    let Some(world) = World::shared().await else { return };
    let first = world.operator().await;
    let second = world.start(&[("POD_NAME", "second")]);
    world.create("before", json!({ "broadcaster": "acme" })).await;
    world.ready("before").await;
    assert_eq!(second.metric("operator_leader").await, 0);
    let held = holder(&world).await;
    first.kill();
    let killed = Instant::now();
    let leads = || async { second.metric("operator_leader").await == 1 };
    world.eventually("led by the second", leads).await;
    println!("handed over within {:.1} s", killed.elapsed().as_secs_f64());
    // From the one to the other, and to nobody between.
    let now = holder(&world).await;
    assert_eq!((now.0.as_str(), now.1), ("second", held.1 + 1), "{held:?}");
    world.create("after", json!({ "broadcaster": "acme" })).await;
    world.ready("after").await;
    second.stop().await;
}

#[tokio::test]
async fn through_a_slow_api_server_streams_become_ready_all_the_same() {
    let Some(world) = World::shared().await else { return };
    let door = world.cluster.door().await.unwrap();
    // Each request and each piece of an answer.
    door.slow_down(Duration::from_millis(200));
    world.go_through(door.url());
    let begun = world.cluster.moment().await.unwrap();
    let operator = world.operator().await;
    let names = ["one", "two", "three", "four"];
    for name in names {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    for name in names {
        world.ready(name).await;
    }
    world.delete_all(&names).await;
    operator.stop().await;
    let requests = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    assert!(requests.len() < 100 * names.len(), "{} requests", requests.len());
}

/// It sends away who writes while another does: 16 reconciles at once meet each
/// other all the time.
#[tokio::test]
async fn an_api_server_that_takes_one_write_at_a_time_is_not_run_down() {
    let flags = ["--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=1"];
    let Some(world) = World::own_with(&flags).await else { return };
    let operator = world.operator().await;
    let begun = world.cluster.moment().await.unwrap();
    let names: Vec<_> = (0..16).map(|number| format!("s{number}")).collect();
    for name in &names {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    for name in &names {
        world.ready(name).await;
    }
    world.delete_all(&names).await;
    operator.stop().await;
    let requests = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    let mut codes = BTreeMap::new();
    for request in &requests {
        *codes.entry(request.response_status.code).or_insert(0) += 1;
    }
    println!("{codes:?}");
    assert!(codes.get(&429).is_some_and(|sent_away| *sent_away > 10), "{codes:?}");
    assert!(requests.len() < 150 * names.len(), "{codes:?}");
}
