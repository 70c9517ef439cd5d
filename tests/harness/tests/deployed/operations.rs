//! What those who run the cluster do: empty nodes, scale to nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use millrace_harness::http::eventually;
use millrace_harness::recorder::Mode;

use crate::command::kubectl;
use crate::livestream::{self, KEYNOTE};
use crate::on_air::{OnAir, RUNGS};
use crate::place::Place;
use crate::{containers, release, watching};

/// For which a live stream's ingest stays on a node that is emptied.
const STAYS: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_mins(2);

/// Evicts the example's pods, as `kubectl drain` does it with a node, and gives up after `limit`.
/// The other pods of the only node stay.
async fn drain(limit: Duration) -> Result<String> {
    let selector = format!("--pod-selector=millrace.dev/livestream={}", KEYNOTE.name);
    let limit = format!("--timeout={}s", limit.as_secs());
    let node = kubectl(&["get", "nodes", "-o", "name"]).await?;
    kubectl(&["drain", node.trim(), "--delete-emptydir-data", &selector, &limit]).await
}

/// Lets pods come to it again.
pub(crate) async fn uncordon() -> Result<()> {
    let node = kubectl(&["get", "nodes", "-o", "name"]).await?;
    kubectl(&["uncordon", node.trim()]).await?;
    Ok(())
}

/// What the release has of this.
const OPERATOR: &str = "deployment/millrace-operator";
const POSTGRES: &str = "statefulset/millrace-quickstart-postgres";

/// How many pods one of them is to have; waits until it has them.
async fn scale(what: &str, replicas: u32) -> Result<()> {
    let wanted = format!("--replicas={replicas}");
    kubectl(&["-n", release::NAMESPACE, "scale", what, &wanted]).await?;
    let (_, component) = what.split_once("/millrace-").unwrap_or_default();
    eventually(&format!("{replicas} of {component}"), SOON, async || {
        let there = containers::of(component).await?.len();
        ensure!(there == usize::try_from(replicas)?, "there are {there}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn a_drained_node_keeps_a_publisher_until_its_time_is_over() {
    let place = Place::of_environment().unwrap();
    let mut on_air = OnAir::start(&place).await.unwrap();
    let stays = format!("operator.drainTimeoutSeconds={}", STAYS.as_secs());
    release::upgrade(&[&stays]).await.unwrap();

    // Nobody opens the budget: the publisher stays, and its transcoder goes on elsewhere, which on
    // the only node is here, later.
    scale(OPERATOR, 0).await.unwrap();
    let refused = drain(Duration::from_secs(10)).await.unwrap_err().to_string();
    assert!(refused.contains("-ingest-"), "{refused}");
    uncordon().await.unwrap();
    on_air.goes_on().await.unwrap();

    // It opens it in its time, and the publisher connects again.
    scale(OPERATOR, 2).await.unwrap();
    println!("{}", drain(STAYS + Duration::from_mins(1)).await.unwrap());
    uncordon().await.unwrap();
    on_air.begins_anew().await.unwrap();
    on_air.goes_on().await.unwrap();

    let (connections, report) = on_air.end().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    assert!(connections > 1, "the broadcaster kept its connection to a pod that is gone");

    // Nobody publishes: nothing keeps a pod.
    println!("{}", drain(Duration::from_secs(45)).await.unwrap());
    uncordon().await.unwrap();
    KEYNOTE.ready().await.unwrap();
}

/// Waits until no transcoder runs.
async fn asleep() -> Result<()> {
    let limit = Duration::from_mins(3);
    eventually("no transcoder", limit, async || {
        let pods = ["get", "pods", "-o", "name", "-l", "app.kubernetes.io/component=transcode"];
        let pods = kubectl(&[&["-n", release::NAMESPACE], &pods[..]].concat()).await?;
        ensure!(pods.is_empty(), "{pods}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn a_sleeping_stream_shows_its_publisher_from_the_first_picture() {
    let place = Place::of_environment().unwrap();
    release::stands(&place).await.unwrap();
    livestream::apply_example().await.unwrap();
    let service = r#""ingest":{"service":{"type":"NodePort"}}"#;
    KEYNOTE.patch(&format!(r#"{{{service},"transcode":{{"idle":"ScaleToZero"}}}}"#)).await.unwrap();
    KEYNOTE.ready().await.unwrap();

    asleep().await.unwrap();
    shown_from_the_first_picture(OnAir::publish(&place, Mode::Classic).await.unwrap()).await;

    // Before, as and after its transcoder is told to go.
    for late in [0, 500, 1500].map(Duration::from_millis) {
        asleep().await.unwrap();
        KEYNOTE.patch(r#"{"transcode":{"idle":"AlwaysOn"}}"#).await.unwrap();
        containers::ready("transcode").await.unwrap();
        let publish = async {
            tokio::time::sleep(late).await;
            OnAir::publish(&place, Mode::Classic).await
        };
        let sleep = KEYNOTE.patch(r#"{"transcode":{"idle":"ScaleToZero"}}"#);
        let (on_air, slept) = tokio::join!(publish, sleep);
        slept.unwrap();
        shown_from_the_first_picture(on_air.unwrap()).await;
    }

    // By its log alone, once there is somebody to look: the key is known, and what Postgres is to be
    // told waits.
    asleep().await.unwrap();
    scale(OPERATOR, 0).await.unwrap();
    scale(POSTGRES, 0).await.unwrap();
    let back = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        scale(OPERATOR, 2).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        scale(POSTGRES, 1).await.unwrap();
    };
    let (on_air, ()) = tokio::join!(OnAir::publish(&place, Mode::Classic), back);
    shown_from_the_first_picture(on_air.unwrap()).await;
    release::is_available().await.unwrap();
    KEYNOTE.patch(r#"{"transcode":{"idle":"AlwaysOn"}}"#).await.unwrap();
    KEYNOTE.ready().await.unwrap();
}

/// Lets a broadcast go on and ends it.
async fn shown_from_the_first_picture(mut on_air: OnAir) {
    on_air.goes_on().await.unwrap();
    let (connections, report) = on_air.end().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    assert_eq!(connections, 1, "the broadcaster lost its connection");
    for rendition in &report.renditions {
        let first = rendition.segments.first().map(|segment| segment.msn);
        assert_eq!(first, Some(0), "{}", rendition.name);
    }
}
