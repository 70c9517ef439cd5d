//! kill -9 of everything, one after the other, while somebody publishes and somebody watches.

use millrace_harness::recorder::Mode;
use tokio::time::Instant;

use crate::on_air::{OnAir, RUNGS};
use crate::place::Place;
use crate::{containers, node, release, watching};

/// What the stream does not need, or replays from the log.
const COMPONENTS: [&str; 6] = [
    "operator",
    "delivery",
    "transcode",
    "quickstart-postgres",
    "quickstart-s3",
    "quickstart-kafka",
];

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn a_container_killed_is_not_the_stream_s_end() {
    let place = Place::of_environment().unwrap();
    let mut on_air = OnAir::start(&place).await.unwrap();
    containers::lend_a_hand(&place).await.unwrap();

    let started = Instant::now();
    let said = |what: &str| println!("{:>5.1} s: {what}", started.elapsed().as_secs_f64());
    containers::one("transcode").await.unwrap().kill_process("ffmpeg").await.unwrap();
    on_air.goes_on().await.unwrap();
    said("goes on without that ffmpeg");
    for component in COMPONENTS {
        for container in containers::of(component).await.unwrap() {
            container.kill().await.unwrap();
            on_air.goes_on().await.unwrap();
            said(&format!("goes on after {}", container.pod));
        }
    }
    // The broadcaster's own connection ends, and it makes another.
    containers::ready("ingest").await.unwrap().kill().await.unwrap();
    on_air.begins_anew().await.unwrap();
    on_air.goes_on().await.unwrap();
    said("goes on with another ingest");

    let (connections, report) = on_air.end().await.unwrap();
    containers::take_the_hand_away().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    assert!(connections > 1, "the broadcaster kept its connection to a dead ingest");
    watching::assert_discontinuities(&report, 1);
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn a_redis_killed_with_all_its_parts_costs_no_segment() {
    let place = Place::of_environment().unwrap();
    let mut on_air = OnAir::start_recorded(&place, Mode::Classic).await.unwrap();
    containers::lend_a_hand(&place).await.unwrap();
    containers::one("quickstart-redis").await.unwrap().kill().await.unwrap();
    // This viewer goes by parts: there are new ones.
    on_air.goes_on().await.unwrap();
    let (connections, report) = on_air.end().await.unwrap();
    containers::take_the_hand_away().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    assert_eq!(connections, 1, "the broadcaster lost its connection");
    watching::assert_discontinuities(&report, 0);
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn the_node_s_programs_killed_are_not_seen_by_viewers() {
    let place = Place::of_environment().unwrap();
    if place.node_programs.is_none() {
        println!("left out: E2E_NODE_PROGRAMS does not say how to end and start them");
        return;
    }
    let mut on_air = OnAir::start(&place).await.unwrap();
    for program in ["containerd", "kubelet", "kube-apiserver"] {
        node::kill(&place, program).await.unwrap();
        on_air.goes_on().await.unwrap();
        node::start(&place, program).await.unwrap();
        on_air.goes_on().await.unwrap();
        println!("goes on without {program} and with another");
    }
    node::ready().await.unwrap();
    release::is_available().await.unwrap();
    let (connections, report) = on_air.end().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    assert_eq!(connections, 1, "the broadcaster lost its connection");
    watching::assert_discontinuities(&report, 0);
    watching::assert_never_refused(&report);
}
