//! What is gone for good: records that left the log unread, a stretch that no encoder survives.
//! The broadcast goes on behind the gap, marked, with the next number.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::ensure;
use millrace_harness::counter;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::publisher::Source;
use millrace_harness::recorder::Report;
use millrace_harness::stack::Worker;
use nix::sys::signal::{Signal, kill};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::time::sleep;

use crate::stage::{Stage, assert_legal, watch_for};

const NUMBERED: Source = Source::Numbered { fps: 30, first: 0 };

/// Deletes every record of the stream's log, as retention would.
async fn empty_log(stage: &Stage) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", env::var("TEST_KAFKA_BROKERS").unwrap())
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(stage.frames_topic(), 0, Offset::End).unwrap();
    admin.delete_records(&all, &AdminOptions::new()).await.unwrap();
}

/// Where the system has a program.
fn installed(program: &str) -> PathBuf {
    let paths = env::var_os("PATH").unwrap();
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|p| p.is_file()).unwrap()
}

/// One discontinuity, and one hole in the numbers at it.
async fn assert_one_gap(report: &Report) {
    assert_legal(report);
    let first = &report.renditions[0].segments;
    let last = first.iter().filter(|segment| segment.discontinuity == 0).map(|s| s.msn).max();
    // A rung that was behind the others has lost what they had published.
    let cut = format!("differ in segment {}", last.unwrap());
    assert!(report.broken.iter().all(|what| what.ends_with(&cut)), "promises broken:\n{report}");
    for rendition in &report.renditions {
        assert!(rendition.holes.is_empty(), "{}: {:?}", rendition.name, rendition.holes);
        let marks: Vec<u64> = rendition.segments.iter().map(|s| s.discontinuity).collect();
        assert_eq!((marks[0], marks[marks.len() - 1]), (0, 1), "{}: {marks:?}", rendition.name);
    }
    let seen = counter::read(report.rendition("720p").unwrap().file().unwrap()).await.unwrap();
    let seen: Vec<u32> = seen.into_iter().map(|number| number.unwrap()).collect();
    let holes = seen.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect::<Vec<_>>();
    assert!(holes.len() == 1 && holes[0][1] > holes[0][0], "{holes:?} of {} pictures", seen.len());
}

#[tokio::test]
async fn a_log_truncated_under_a_stopped_transcoder_costs_what_is_gone_and_no_number() {
    let stage = Stage::open(&Manifest::new("truncated")).await;
    let publisher = stage.publish_source(&NUMBERED);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(5)).await;

    kill(stage.stack.pid(Worker::Transcode).unwrap(), Signal::SIGSTOP).unwrap();
    sleep(Duration::from_secs(3)).await;
    empty_log(&stage).await;
    stage.stack.crash(Worker::Transcode).await.unwrap();

    watch_for(&mut viewer, Duration::from_secs(6)).await;
    publisher.stop().await;
    let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
    let logs = stage.logs();
    stage.close().await;
    assert!(logs.contains("the checkpoint is not in the log"));
    assert_one_gap(&report).await;
}

#[tokio::test]
async fn pictures_that_stop_while_sound_goes_on_leave_a_legal_playlist_and_every_number() {
    let stage = Stage::open(&Manifest::new("frozen")).await;
    // Half a second before a boundary at the least, a whole segment without a picture.
    let source = Source::Frozen { fps: 30, seconds: (5, 10) };
    let publisher = stage.publish_source(&source);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(12)).await;
    publisher.stop().await;
    let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
    stage.close().await;
    assert_legal(&report);
    let top = report.rendition("720p").unwrap();
    assert!(!top.gaps.is_empty(), "the segments without a picture are listed as gaps");
    let seen = counter::read(top.file().unwrap()).await.unwrap();
    let seen: Vec<u32> = seen.into_iter().map(|number| number.unwrap()).collect();
    let holes = seen.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(holes, 1, "of {} pictures", seen.len());
}

#[tokio::test]
async fn a_stretch_that_no_encoder_survives_is_left_out_and_the_stream_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (ffmpeg, poison) = (folder.path().join("ffmpeg"), folder.path().join("poison"));
    let (real, place) = (installed("ffmpeg"), poison.display());
    // Asked what it can do, it answers all the same.
    let script = format!(
        "#!/bin/sh\n[ $# -gt 9 ] && [ -e {place} ] && exit 1\nexec {} \"$@\"\n",
        real.display()
    );
    fs::write(&ffmpeg, script).unwrap();
    fs::set_permissions(&ffmpeg, fs::Permissions::from_mode(0o755)).unwrap();
    let environment = [("FFMPEG_PATH".to_owned(), ffmpeg.display().to_string())];
    let stage = Stage::open_with(&Manifest::new("poisoned"), &environment).await;
    let publisher = stage.publish_source(&NUMBERED);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(5)).await;

    fs::write(&poison, "").unwrap();
    stage.kill_encoder();
    eventually("a stretch left out", Duration::from_mins(1), async || {
        ensure!(stage.metrics().await?.contains("millrace_log_skips_total 1"), "none yet");
        Ok(())
    })
    .await
    .unwrap();
    fs::remove_file(&poison).unwrap();

    watch_for(&mut viewer, Duration::from_secs(6)).await;
    publisher.stop().await;
    let report = recorder.until_ended(Duration::from_secs(40)).await.unwrap();
    stage.close().await;
    assert_one_gap(&report).await;
}
