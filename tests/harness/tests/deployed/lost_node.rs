//! A node that nobody reaches any more, with the ingest and the transcoder of a live stream on it;
//! both go on there, and have to do no harm.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;
use millrace_harness::http::eventually;
use millrace_harness::recorder::Mode;
use serde_json::Value;
use tokio::time::Instant;

use crate::command::kubectl;
use crate::livestream::{self, KEYNOTE};
use crate::node::Second;
use crate::on_air::{OnAir, RUNGS};
use crate::place::Place;
use crate::{node, operations, release, watching};

/// A node is called lost after 50 s, its pods 10 s later; then others start.
const REPLACED: Duration = Duration::from_mins(4);
const SOON: Duration = Duration::from_mins(2);

/// The example's pods: name and node of those that are ready and are to stay.
async fn pods() -> Result<Vec<(String, String)>> {
    let selector = format!("millrace.dev/livestream={}", KEYNOTE.name);
    let get = ["-n", release::NAMESPACE, "get", "pods", "-l", &selector, "-o", "json"];
    let list: Value = serde_json::from_str(&kubectl(&get).await?)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let stays = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array();
        let is_ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.is_some_and(|conditions| conditions.iter().any(is_ready))
    };
    let pods = list["items"].as_array().context("no pods")?.iter().filter(stays);
    Ok(pods.map(|p| (text(&p["metadata"]["name"]), text(&p["spec"]["nodeName"]))).collect())
}

/// Waits until both are ready, and on this node.
async fn are_on(node: &str, limit: Duration) -> Result<()> {
    eventually(&format!("pods on {node}"), limit, async || {
        let pods = pods().await?;
        ensure!(pods.len() == 2 && pods.iter().all(|(_, on)| on == node), "{pods:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn a_lost_node_costs_what_its_ingest_had_not_written() {
    let place = Place::of_environment().unwrap();
    let Some(second) = Second::of(&place) else {
        println!("left out: E2E_NODE_PROGRAMS does not say how to make another node");
        return;
    };
    release::stands(&place).await.unwrap();
    livestream::apply_example().await.unwrap();
    let ingest = r#"{"ingest":{"service":{"type":"NodePort"},"reconnectWindow":"5m"}}"#;
    KEYNOTE.patch(ingest).await.unwrap();
    KEYNOTE.ready().await.unwrap();
    let seen = AssertUnwindSafe(lose_it(&place, &second)).catch_unwind().await;
    // Also after a failure: what follows knows one node, and needs it.
    second.leave().await.unwrap();
    operations::uncordon().await.unwrap();
    KEYNOTE.patch(r#"{"ingest":{"reconnectWindow":null}}"#).await.unwrap();
    if let Err(panic) = seen {
        resume_unwind(panic);
    }
}

async fn lose_it(place: &Place, second: &Second<'_>) {
    let first =
        kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).await.unwrap();
    second.join().await.unwrap();
    kubectl(&["cordon", &first]).await.unwrap();
    let selector = format!("millrace.dev/livestream={}", KEYNOTE.name);
    kubectl(&["-n", release::NAMESPACE, "delete", "pods", "-l", &selector]).await.unwrap();
    are_on(Second::NAME, SOON).await.unwrap();
    kubectl(&["uncordon", &first]).await.unwrap();
    KEYNOTE.ready().await.unwrap();

    let mut on_air = OnAir::publish(place, Mode::LowLatency).await.unwrap();
    second.cut().await.unwrap();
    let cut = Instant::now();
    let said = |what: &str| println!("{:>5.1} s: {what}", cut.elapsed().as_secs_f64());
    KEYNOTE.has("IngestReady", "False", REPLACED).await.unwrap();
    said("IngestReady is False");
    are_on(&first, REPLACED).await.unwrap();
    said("other pods are ready");
    // Its connection leads to where nobody answers, which OBS finds out in some seconds.
    on_air.reconnects();
    on_air.begins_anew().await.unwrap();
    on_air.goes_on().await.unwrap();
    said("goes on");

    // What was cut off comes back, and finds that others have its place.
    second.mend().await.unwrap();
    node::ready().await.unwrap();
    eventually("the end of the old pods", SOON, async || {
        let field = format!("spec.nodeName={}", Second::NAME);
        let get = ["get", "pods", "-A", "-o", "name", "--field-selector", &field];
        let left = kubectl(&get).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .await
    .unwrap();
    said("nothing is left there");
    on_air.goes_on().await.unwrap();
    KEYNOTE.ready().await.unwrap();

    let (connections, report) = on_air.end().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    assert!(connections > 1, "the broadcaster kept its connection to a node that is gone");
    watching::assert_discontinuities(&report, 1);
}
