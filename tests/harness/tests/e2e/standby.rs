//! Two transcoders of a stream: one writes, the other takes over when it is killed or stands still.

use std::time::Duration;

use anyhow::ensure;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::process::{cpu, descendants, resident};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::crash::no_picture_is_lost;
use crate::stage::{Stage, assert_sound, watch_for};

const LONG: Duration = Duration::from_mins(1);
/// What the logs say of a takeover.
const TAKEN: &str = "this one takes over";

/// One rung, for a machine of two cores.
fn manifest(name: &str) -> Manifest {
    Manifest { redundancy: 2, ladder: vec![("480p", 480, 1_000)], ..Manifest::new(name) }
}

/// The writer and the standby, once both are what they are.
async fn writer_and_standby(stage: &Stage) -> (Pid, Pid) {
    eventually("a writer and a standby", LONG, async || {
        let metrics = stage.metrics().await?;
        for duty in ["writing", "standing_by"] {
            let told = format!("millrace_transcode_{duty} 1\n");
            ensure!(metrics.matches(&told).count() == 1, "not one is {duty}");
        }
        stage.stack.writer_and_standby()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_writer_that_is_killed_or_stopped_is_replaced_and_no_picture_is_lost_or_doubled() {
    no_picture_is_lost(&manifest("standby"), async |stage, viewer| {
        let mut waits = Vec::new();
        for _ in 0..3 {
            let (writer, standby) = writer_and_standby(stage).await;
            watch_for(viewer, Duration::from_millis(2_500)).await;
            let killed = Instant::now();
            kill(writer, Signal::SIGKILL).unwrap();
            watch_for(viewer, Duration::from_millis(1)).await;
            waits.push(killed.elapsed().as_millis());
            // The killed one is started again and stands by.
            assert_eq!(writer_and_standby(stage).await.0, standby);
        }
        let (writer, standby) = writer_and_standby(stage).await;
        let stopped = Instant::now();
        kill(writer, Signal::SIGSTOP).unwrap();
        // More than it may have sent before.
        watch_for(viewer, Duration::from_millis(500)).await;
        waits.push(stopped.elapsed().as_millis());
        watch_for(viewer, Duration::from_millis(3_500)).await;
        kill(writer, Signal::SIGCONT).unwrap();
        // It notices, and neither ends nor fights.
        assert_eq!(writer_and_standby(stage).await, (standby, writer));
        watch_for(viewer, Duration::from_secs(4)).await;
        assert_eq!(writer_and_standby(stage).await, (standby, writer));
        println!("ms from three kills, and a stop, to the next part: {waits:?}");
        assert_eq!(stage.logs().matches(TAKEN).count(), 4, "takeovers");
    })
    .await;
}

#[tokio::test]
async fn whoever_stands_by_in_one_broadcast_is_there_for_the_next() {
    let stage = Stage::open(&manifest("two-broadcasts")).await;
    let index = async || stage.http.text(&stage.endpoints().hls).await;
    for _ in 0..2 {
        let last = index().await.ok();
        let publisher = stage.publish();
        let (writer, standby) = writer_and_standby(&stage).await;
        eventually("another broadcast", LONG, async || {
            ensure!(Some(index().await?) != last, "the last one is still offered");
            Ok(())
        })
        .await
        .unwrap();
        let recorder = stage.record().await;
        let mut viewer = stage.viewer().await;
        kill(writer, Signal::SIGKILL).unwrap();
        watch_for(&mut viewer, Duration::from_secs(4)).await;
        assert_eq!(writer_and_standby(&stage).await.0, standby);
        publisher.stop().await;
        let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
        assert_sound(&report);
    }
    assert_eq!(stage.logs().matches(TAKEN).count(), 2, "takeovers");
    stage.close().await;
}

#[tokio::test]
#[ignore = "prints figures of half a minute, judges none"]
async fn what_a_standby_costs() {
    let mut manifest = manifest("standby-cost");
    manifest.ladder = Manifest::new("").ladder;
    let stage = Stage::open(&manifest).await;
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    let (writer, standby) = writer_and_standby(&stage).await;
    let encoder = descendants(writer)[0].pid();
    watch_for(&mut viewer, Duration::from_secs(5)).await;
    let all = [("writer", writer), ("its ffmpeg", encoder), ("standby", standby)];
    let before = all.map(|(_, pid)| cpu(pid).unwrap());
    let began = Instant::now();
    watch_for(&mut viewer, Duration::from_secs(30)).await;
    for ((name, pid), before) in all.into_iter().zip(before) {
        let used = cpu(pid).unwrap().saturating_sub(before);
        let used = used.as_secs_f64() / began.elapsed().as_secs_f64();
        let mib = resident(pid).unwrap() >> 20;
        println!("{name}: {:.1} % of a core, {mib} MiB", used * 100.0);
    }
    assert_eq!(writer_and_standby(&stage).await, (writer, standby));
    publisher.stop().await;
    stage.close().await;
}
