//! The release changes, goes and comes back, with LiveStreams there.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use millrace_harness::http::eventually;
use millrace_harness::recorder::Mode;

use crate::command::kubectl;
use crate::containers::PSQL;
use crate::livestream::{self, KEYNOTE};
use crate::on_air::{OnAir, RUNGS};
use crate::place::Place;
use crate::release::{NAMESPACE, STREAMS};
use crate::{containers, release, watching};

/// What an operator or kubelet needs for a change, at most.
const SOON: Duration = Duration::from_mins(1);
/// Of everything that a LiveStream may have made.
const KINDS: &str = "deployments,pods,services,poddisruptionbudgets,ingresses,secrets";

/// UIDs of the pods of these components.
async fn pods(components: &[&str]) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for component in components {
        all.extend(containers::of(component).await?.into_iter().map(|container| container.uid));
    }
    Ok(all)
}

/// A number that the release's database says.
async fn query(sql: &str) -> Result<u32> {
    let ask = format!("{PSQL} millrace -At -c \"{sql}\"");
    Ok(containers::exec("quickstart-postgres", &ask).await?.trim().parse()?)
}

/// Whether the tables are those of the next version (tests/next.sh).
async fn is_migrated() -> Result<bool> {
    Ok(query("SELECT count(*) FROM _sqlx_migrations WHERE version = 9000 AND success").await? == 1)
}

const WORKERS: [&str; 2] = ["ingest", "transcode"];
const RELEASED: [&str; 2] = ["operator", "delivery"];

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn an_upgrade_and_a_rollback_cost_viewers_of_a_live_stream_nothing() {
    let place = Place::of_environment().unwrap();
    let mut on_air = OnAir::start(&place).await.unwrap();
    let (workers, old) = (pods(&WORKERS).await.unwrap(), pods(&RELEASED).await.unwrap());

    // Every template changes: images, and the workers' settings.
    let images = ["operator", "transcode"].map(|of| format!("image.{of}.tag={}", place.next_tag));
    release::upgrade(&[&images[0], &images[1], "workers.logFormat=text"]).await.unwrap();
    KEYNOTE.has("UpdatePending", "True", SOON).await.unwrap();
    on_air.goes_on().await.unwrap();
    assert!(is_migrated().await.unwrap());
    let new = pods(&RELEASED).await.unwrap();
    assert!(new.is_disjoint(&old), "{new:?} were {old:?}");
    assert_eq!(pods(&WORKERS).await.unwrap(), workers);

    // A worker that dies comes back as it was, and goes on with what the new version has written
    // meanwhile, as the new one does with what it writes.
    containers::lend_a_hand(&place).await.unwrap();
    for worker in WORKERS {
        containers::one(worker).await.unwrap().kill().await.unwrap();
        if worker == "ingest" {
            on_air.begins_anew().await.unwrap();
        }
        on_air.goes_on().await.unwrap();
    }
    containers::take_the_hand_away().await.unwrap();
    assert_eq!(pods(&WORKERS).await.unwrap(), workers);

    release::rollback().await.unwrap();
    on_air.goes_on().await.unwrap();
    assert!(pods(&RELEASED).await.unwrap().is_disjoint(&new));
    // This version works with the next one's tables: another key is made and registered.
    assert!(is_migrated().await.unwrap());
    KEYNOTE.patch(r#"{"keys":[{"name":"main"},{"name":"second"}]}"#).await.unwrap();
    KEYNOTE.ready().await.unwrap();
    let registered = query("SELECT count(DISTINCT name) FROM stream_keys WHERE name = 'second'");
    assert_eq!(registered.await.unwrap(), 1);
    let (connections, report) = on_air.end().await.unwrap();
    // What waited does so until the end, and is then what the pods have already.
    KEYNOTE.has("UpdatePending", "False", SOON).await.unwrap();
    assert_eq!(pods(&WORKERS).await.unwrap(), workers);

    watching::assert_sound(&report, RUNGS);
    assert!(connections > 1, "the broadcaster kept its connection to a dead ingest");
    for rendition in &report.renditions {
        let last = rendition.segments.last().map(|segment| segment.discontinuity);
        assert_eq!(last, Some(1), "{}", rendition.name);
    }
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn a_live_stream_that_is_deleted_leaves_nothing_in_kubernetes() {
    let place = Place::of_environment().unwrap();
    let on_air = OnAir::start(&place).await.unwrap();
    KEYNOTE.kubectl(&["delete", "ls", KEYNOTE.name, "--timeout=60s"]).await.unwrap();
    let label = format!("millrace.dev/livestream={}", KEYNOTE.name);
    for namespace in [NAMESPACE, STREAMS] {
        let what = format!("nothing left in {namespace}");
        eventually(&what, Duration::from_mins(1), async || {
            let left = ["-n", namespace, "get", KINDS, "-l", &label, "-o", "name"];
            let left = kubectl(&left).await?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })
        .await
        .unwrap();
    }
    let report = on_air.end_of_deleted().await.unwrap();
    watching::assert_sound(&report, RUNGS);
    KEYNOTE.kubectl(&["delete", "ls", KEYNOTE.name, "--timeout=60s"]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster with nodes: make e2e"]
async fn live_streams_stay_after_an_uninstall_and_are_taken_up_or_go_with_their_namespace() {
    let place = Place::of_environment().unwrap();
    release::stands(&place).await.unwrap();
    livestream::apply_example().await.unwrap();
    KEYNOTE.patch(r#"{"ingest":{"service":{"type":"NodePort"}}}"#).await.unwrap();
    KEYNOTE.ready().await.unwrap();
    let (uid, key) =
        (KEYNOTE.get().await.unwrap()["metadata"]["uid"].clone(), KEYNOTE.key().await.unwrap());

    release::uninstall().await.unwrap();
    let left = KEYNOTE.get().await.unwrap();
    assert_eq!(left["metadata"]["uid"], uid);
    assert!(left["metadata"]["finalizers"].is_null(), "{left}");

    release::install(&place).await.unwrap();
    KEYNOTE.ready().await.unwrap();
    assert_eq!(KEYNOTE.get().await.unwrap()["metadata"]["uid"], uid);
    assert_eq!(KEYNOTE.key().await.unwrap(), key);
    let mut on_air = OnAir::publish(&place, Mode::LowLatency).await.unwrap();
    on_air.goes_on().await.unwrap();
    let (_, report) = on_air.end().await.unwrap();
    watching::assert_sound(&report, RUNGS);

    release::uninstall().await.unwrap();
    for namespace in [STREAMS, NAMESPACE] {
        kubectl(&["delete", "namespace", namespace, "--timeout=2m"]).await.unwrap();
    }
    release::clear().await.unwrap();
}
