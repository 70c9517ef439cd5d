//! Broadcasts that begin, go on and end while a server is away.

use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_harness::counter;
use millrace_harness::http::eventually;
use millrace_harness::manifest::Manifest;
use millrace_harness::playlist::{Media, Multivariant, Segment, resolve};
use millrace_harness::proxy::{Mode, Proxy};
use millrace_harness::publisher::Source;
use millrace_harness::services::{Addresses, S3};
use millrace_harness::stack::Worker;
use tokio::process::Command;
use uuid::Uuid;

use crate::stage::{Stage, assert_sound, watch_for};

const LONG: Duration = Duration::from_mins(1);
const NUMBERED: Source = Source::Numbered { fps: 30, first: 0 };

/// A proxy in front of the tests' Redis, and the setting that leads through it.
async fn redis() -> (Proxy, (String, String)) {
    let redis = Addresses::of_tests().unwrap().redis;
    let server: SocketAddr = redis.trim_start_matches("redis://").parse().unwrap();
    let proxy = Proxy::start(server).await.unwrap();
    let url = format!("redis://{}", proxy.address());
    (proxy, ("REDIS_URL".to_owned(), url))
}

/// The playlist of a broadcast other than `last`, once three segments are listed and the newest can
/// be had.
async fn listed(stage: &Stage, last: &str) -> String {
    eventually("another broadcast with three segments", LONG, async || {
        let index = &stage.endpoints().hls;
        let variants = Multivariant::parse(&stage.http.text(index).await?)?.variants;
        let url = resolve(index, &variants.first().context("no variant")?.uri)?;
        ensure!(url != last, "still the last one");
        let playlist = Media::parse(&stage.http.text(&url).await?)?;
        ensure!(playlist.segments.len() >= 3, "{} segments", playlist.segments.len());
        let newest = playlist.segments.last().context("no segment")?;
        stage.http.bytes(&resolve(&url, &newest.uri)?).await?;
        Ok(url)
    })
    .await
    .unwrap()
}

async fn ended(stage: &Stage, url: &str) -> Media {
    eventually("the end of the playlist", LONG, async || {
        let playlist = Media::parse(&stage.http.text(url).await?)?;
        ensure!(playlist.ended, "{} segments", playlist.segments.len());
        Ok(playlist)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn broadcasts_begin_and_end_while_redis_is_away_and_their_ends_are_told_when_it_is_back() {
    let (proxy, setting) = redis().await;
    let stage = Stage::open_with(&Manifest::new("redis-away"), &[setting]).await;
    proxy.set(Mode::Reset);
    let publisher = stage.publish();
    let first = listed(&stage, "").await;
    publisher.stop().await;
    let publisher = stage.publish();
    let second = listed(&stage, &first).await;

    proxy.set(Mode::Pass);
    assert_eq!(ended(&stage, &first).await.first_msn, 0);
    let mut viewer = stage.viewer().await;
    assert_eq!(viewer.media_url(), second);
    watch_for(&mut viewer, Duration::from_secs(4)).await;
    publisher.stop().await;
    assert_eq!(ended(&stage, &second).await.first_msn, 0);
    stage.close().await;
}

#[tokio::test]
async fn a_broadcast_goes_on_while_the_store_is_away_and_all_of_it_is_stored_later() {
    let Ok(endpoint) = env::var("TEST_S3_ENDPOINT") else { return };
    let s3 = S3 { address: endpoint.trim_start_matches("http://").to_owned() };
    let store = Proxy::start(s3.address.parse().unwrap()).await.unwrap();
    let (redis, setting) = redis().await;
    let mut environment = s3.environment(&store.address().to_string(), "away");
    environment.push(setting);
    let stage = Stage::open_with(&Manifest::new("store-away"), &environment).await;

    let publisher = stage.publish_source(&NUMBERED);
    let recorder = stage.record().await;
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(3)).await;
    store.set(Mode::BlackHole);
    for _ in 0..2 {
        watch_for(&mut viewer, Duration::from_secs(2)).await;
        stage.kill_encoder();
    }
    watch_for(&mut viewer, Duration::from_secs(3)).await;
    store.set(Mode::Pass);
    watch_for(&mut viewer, Duration::from_secs(3)).await;
    publisher.stop().await;
    let report = recorder.until_ended(LONG).await.unwrap();
    assert_sound(&report);
    for rung in report.renditions.iter().filter(|rendition| rendition.video) {
        let seen = counter::read(rung.file().unwrap()).await.unwrap();
        let expected: Vec<_> = (0..u32::try_from(seen.len()).unwrap()).map(Some).collect();
        assert_eq!(seen, expected, "{}", rung.name);
    }

    // What the store has is all of it.
    let shown = ended(&stage, viewer.media_url()).await.segments;
    redis.set(Mode::Reset);
    stage.stack.crash(Worker::Delivery).await.unwrap();
    let stored = ended(&stage, viewer.media_url()).await.segments;
    let names =
        |segments: &[Segment]| -> Vec<_> { segments.iter().map(|s| (s.msn, s.gap)).collect() };
    assert_eq!(names(&stored), names(&shown));
    assert!(stored.iter().all(|segment| !segment.gap), "{stored:?}");
    stage.close().await;
}

#[tokio::test]
async fn a_broadcast_that_ended_and_one_that_waits_are_whole_once_the_store_is_back() {
    let Ok(endpoint) = env::var("TEST_S3_ENDPOINT") else { return };
    let s3 = S3 { address: endpoint.trim_start_matches("http://").to_owned() };
    let store = Proxy::start(s3.address.parse().unwrap()).await.unwrap();
    let (redis, setting) = redis().await;
    let mut environment = s3.environment(&store.address().to_string(), "two");
    environment.push(setting);
    let stage = Stage::open_with(&Manifest::new("store-two"), &environment).await;
    let publisher = stage.publish();
    let first = listed(&stage, "").await;
    let mut viewer = stage.viewer().await;
    store.set(Mode::BlackHole);
    watch_for(&mut viewer, Duration::from_secs(4)).await;
    publisher.stop().await;
    let shown = ended(&stage, &first).await.segments;

    // As if a process that is gone had begun with a later broadcast.
    let installation = stage.frames_topic().split('.').next().unwrap();
    let lease = format!("{installation}:writer:{{{}}}", stage.endpoints().stream_id());
    let [later, token] = [Uuid::now_v7(), Uuid::new_v4()].map(|id| id.to_string());
    let fields = ["broadcast", &later, "run", "1", "token", &token, "ended", "0"];
    let server = Addresses::of_tests().unwrap().redis;
    let set = Command::new("redis-cli")
        .args(["-u", &server, "-n", "1", "hset", &lease])
        .args(fields)
        .output()
        .await
        .unwrap();
    assert_eq!(set.stdout.trim_ascii(), b"0", "the lease was not there: {set:?}");

    // The next has no run yet, and the process that waits for one is killed.
    let publisher = stage.publish();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stage.stack.crash(Worker::Transcode).await.unwrap();
    let started = stage.stack.pid(Worker::Transcode).unwrap();
    store.set(Mode::Pass);
    let second = listed(&stage, &first).await;
    publisher.stop().await;
    ended(&stage, &second).await;
    assert_eq!(stage.stack.pid(Worker::Transcode).unwrap(), started, "it had to start again");
    assert!(stage.logs().contains("Redis is at a later broadcast than"), "nothing was in the way");

    redis.set(Mode::Reset);
    stage.stack.crash(Worker::Delivery).await.unwrap();
    let stored = ended(&stage, &first).await.segments;
    assert_eq!(stored.len(), shown.len());
    for segments in [stored, ended(&stage, &second).await.segments] {
        let msns: Vec<_> = segments.iter().map(|segment| segment.msn).collect();
        assert_eq!(msns, (0..).take(msns.len()).collect::<Vec<_>>());
        assert!(segments.iter().all(|segment| !segment.gap), "{segments:?}");
    }
    stage.close().await;
}

#[tokio::test]
async fn workers_that_start_while_redis_and_the_store_are_away_stay_and_work_when_they_come() {
    let Ok(endpoint) = env::var("TEST_S3_ENDPOINT") else { return };
    let s3 = S3 { address: endpoint.trim_start_matches("http://").to_owned() };
    let store = Proxy::start(s3.address.parse().unwrap()).await.unwrap();
    let (redis, setting) = redis().await;
    let mut environment = s3.environment(&store.address().to_string(), "late");
    environment.push(setting);
    let stage = Stage::open_with(&Manifest::new("late-servers"), &environment).await;
    let workers = [Worker::Ingest, Worker::Transcode, Worker::Delivery];
    for proxy in [&redis, &store] {
        proxy.set(Mode::Reset);
    }
    for worker in workers {
        stage.stack.crash(worker).await.unwrap();
    }
    let started = workers.map(|worker| stage.stack.pid(worker).unwrap());
    // Long enough for a start that gives up, and for a retry that does.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for proxy in [&redis, &store] {
        proxy.set(Mode::Pass);
    }
    let publisher = stage.publish();
    let mut viewer = stage.viewer().await;
    watch_for(&mut viewer, Duration::from_secs(3)).await;
    publisher.stop().await;
    ended(&stage, viewer.media_url()).await;
    assert_eq!(workers.map(|worker| stage.stack.pid(worker).unwrap()), started);
    stage.close().await;
}
