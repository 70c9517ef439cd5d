//! Who holds the Lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease as Object;
use kube::api::{Api, Patch, PatchParams, PostParams};
use millrace_harness::cluster::audit::Event;
use millrace_harness::cluster::door::Asked;
use millrace_operator::controller::leader::Lease;
use millrace_operator::controller::place::Place;
use serde_json::json;
use tokio::time::Instant;

use super::faults::holder;
use super::support::World;

const NAME: &str = "millrace-operator";

fn claim(world: &World, identity: String) -> Lease {
    let own_namespace = world.workers.name().to_owned();
    Lease::new(world.client(), &Place { namespaces: None, own_namespace, identity })
}

/// Somebody's whose clock is wrong by decades.
async fn held(world: &World, renewed: &str, seconds: i32) -> Api<Object> {
    let api = Api::namespaced(world.client(), world.workers.name());
    let spec = json!({
        "holderIdentity": "somebody", "leaseDurationSeconds": seconds,
        "acquireTime": renewed, "renewTime": renewed,
    });
    let lease = json!({ "metadata": { "name": NAME }, "spec": spec });
    api.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_a_lease_that_was_left_one_at_a_time_has_it() {
    let Some(world) = World::shared().await else { return };
    let api = held(&world, "2099-01-01T00:00:00.000000Z", 1).await;
    let (leading, many) = (Arc::new(AtomicU32::new(0)), 8);
    let turns = (0..many).map(|number| {
        let mut lease = claim(&world, format!("r{number}"));
        let leading = leading.clone();
        tokio::spawn(async move {
            lease.take().await;
            assert_eq!(leading.fetch_add(1, Ordering::SeqCst), 0, "two lead");
            tokio::time::sleep(Duration::from_millis(50)).await;
            leading.fetch_sub(1, Ordering::SeqCst);
            lease.release().await.unwrap();
        })
    });
    for turn in join_all(turns).await {
        turn.unwrap();
    }
    let spec = api.get(NAME).await.unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity, spec.renew_time), (None, None));
    assert_eq!(spec.lease_transitions, Some(many - 1));
}

#[tokio::test]
async fn a_leader_whose_lease_is_taken_by_another_ends_with_a_failure_and_leaves_it() {
    let Some(world) = World::shared().await else { return };
    let mut operator = world.operator().await;
    let api: Api<Object> = Api::namespaced(world.client(), world.workers.name());
    let taken = Patch::Merge(json!({ "spec": { "holderIdentity": "somebody" } }));
    api.patch(NAME, &PatchParams::default(), &taken).await.unwrap();
    let status = operator.wait_ended().await;
    assert_eq!(status.code(), Some(1), "{}", world.log_tail());
    let told = std::fs::read_to_string(world.log()).unwrap();
    assert!(told.contains("was lost to another replica"), "{}", world.log_tail());
    let spec = api.get(NAME).await.unwrap().spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("somebody"));
}

#[tokio::test]
async fn a_lease_that_is_renewed_is_left_alone_however_old_it_says_it_is() {
    let Some(world) = World::shared().await else { return };
    let api = held(&world, "2000-01-01T00:00:00.000000Z", 15).await;
    let renewals = async {
        for second in 1..=4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let renewed = format!("2000-01-01T00:00:0{second}.000000Z");
            let patch = Patch::Merge(json!({ "spec": { "renewTime": renewed } }));
            api.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
        }
    };
    let mut lease = claim(&world, "another".to_owned());
    tokio::select! {
        () = lease.take() => panic!("taken from who holds it"),
        () = renewals => {}
    }
    let spec = api.get(NAME).await.unwrap().spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some("somebody"));
}

/// How many requests until the Lease was written for the `times`-th time, and how many of them wrote
/// something else.
fn writes_before(asked: &[Event], times: usize) -> usize {
    let is_lease = |event: &Event| event.object_ref.resource == "leases";
    let all: Vec<_> = asked.iter().filter(|event| event.is_write()).collect();
    let mut leases = (0..all.len()).filter(|at| is_lease(all[*at]));
    let at = leases.nth(times - 1).unwrap();
    all[..at].iter().filter(|event| !is_lease(event)).count()
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_ends_its_work_then_gives_up_the_lease_and_another_goes_on() {
    let Some(world) = World::shared().await else { return };
    let door = world.cluster.door().await.unwrap();
    world.go_through(door.url());
    let begun = world.cluster.moment().await.unwrap();
    let first = world.operator().await;
    world.go_through(&world.cluster.url());
    let second = world.start(&[("POD_NAME", "second")]);
    second.wait_up().await;
    door.slow_down(Duration::from_millis(200));
    let names = ["one", "two", "three", "four"];
    for name in names {
        world.create(name, json!({ "broadcaster": "acme" })).await;
    }
    let at_work = || async { first.metric("operator_reconciles_running").await > 0 };
    world.eventually("at work", at_work).await;
    let told = Instant::now();
    first.stop().await;
    let (now, _) = holder(&world).await;
    assert!(["", "second"].contains(&now.as_str()), "{now} has the Lease");

    let of_first: Vec<_> = door.asked().into_iter().filter(Asked::is_write).collect();
    let (leases, others): (Vec<_>, Vec<_>) =
        of_first.iter().partition(|asked| asked.object.resource == "leases");
    assert!(others.iter().any(|asked| asked.at > told), "nothing was left to write");
    let leads = || async { second.metric("operator_leader").await == 1 };
    world.eventually("led by the second", leads).await;
    for name in names {
        world.ready(name).await;
    }
    second.stop().await;
    // By the time of the answers. The second writes the Lease when it is nobody's.
    let asked = world.cluster.requests(&world.account.user(), begun).await.unwrap();
    assert_eq!(writes_before(&asked, leases.len()), others.len());
}
