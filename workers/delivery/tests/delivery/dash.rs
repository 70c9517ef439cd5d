//! What the DASH manifest says, and when.

use std::time::Duration;

use dash_mpd_core::{MPD, parse};
use millrace_media::dash::time;
use millrace_platform::wall;

use crate::support::feed::segment_bytes;
use crate::support::{World, until};

/// Paths of all media that a manifest names, init segments first.
fn media(mpd: &MPD, stream: &str) -> Vec<String> {
    let here = url::Url::parse(&format!("http://host/dash/{stream}/manifest.mpd")).unwrap();
    let mut inits = Vec::new();
    let mut segments = Vec::new();
    for set in mpd.periods.iter().flat_map(|period| &period.adaptations) {
        let shared = set.SegmentTemplate.as_ref().unwrap();
        let times = shared.SegmentTimeline.as_ref().unwrap().segments.iter().flat_map(|s| {
            let repeats = u64::try_from(s.r.unwrap_or(0)).unwrap();
            (0..=repeats).map(|n| (s.t.unwrap() + n * s.d).to_string())
        });
        let names = times.map(|time| shared.media.as_ref().unwrap().replace("$Time$", &time));
        let names: Vec<_> = names.collect();
        for representation in &set.representations {
            let base = here.join(&representation.BaseURL[0].base).unwrap();
            let path = |name: &str| base.join(name).unwrap().path().to_owned();
            let own = representation.SegmentTemplate.as_ref().unwrap();
            inits.push(path(own.initialization.as_ref().unwrap()));
            segments.extend(names.iter().map(|name| path(name)));
        }
    }
    inits.append(&mut segments);
    inits
}

#[tokio::test]
async fn every_name_in_a_manifest_is_the_media_that_hls_serves() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..3).await;
    let replica = world.replica().await;
    let stream = feed.info.stream.to_string();
    let answer = replica.get(&format!("/dash/{stream}/manifest.mpd")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/dash+xml");
    assert_eq!(answer.header("cache-control"), "public, max-age=0, s-maxage=1");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let mpd = parse(&answer.text).unwrap();
    assert_eq!(mpd.mpdtype.as_deref(), Some("dynamic"));
    assert_eq!(mpd.timeShiftBufferDepth, Some(Duration::from_mins(2)));
    assert_eq!(mpd.minimumUpdatePeriod, Some(Duration::from_millis(500)));
    assert_eq!(mpd.locations[0].url, format!("{}.mpd", feed.info.broadcast));
    let named = media(&mpd, &stream);
    assert_eq!(named.len(), 3 + 3 * 3, "{named:?}");
    for path in &named {
        assert_eq!(replica.get(path).await.status, 200, "{path}");
    }
    let last = named.iter().find(|path| **path == feed.path("720p", "at-360000.m4s")).unwrap();
    let bytes = segment_bytes(&"720p".parse().unwrap(), 2);
    assert_eq!(replica.get(last).await.text.as_bytes(), bytes);
}

#[tokio::test]
async fn renditions_are_described_in_two_sets() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let answer = replica.get(&format!("/dash/{}/manifest.mpd", feed.info.stream)).await;
    let mpd = parse(&answer.text).unwrap();
    let [video, audio] = &mpd.periods[0].adaptations[..] else { panic!("{}", answer.text) };
    assert_eq!(video.frameRate.as_deref(), Some("30"));
    let rungs: Vec<_> = video
        .representations
        .iter()
        .map(|r| {
            (r.id.as_deref().unwrap(), r.width.unwrap(), r.height.unwrap(), r.bandwidth.unwrap())
        })
        .collect();
    assert_eq!(rungs, [("480p", 854, 480, 1_500_000), ("720p", 1280, 720, 3_000_000)]);
    assert_eq!(audio.audioSamplingRate.as_deref(), Some("48000"));
    assert_eq!(audio.AudioChannelConfiguration[0].value.as_deref(), Some("2"));
    assert_eq!(audio.representations[0].codecs.as_deref(), Some("mp4a.40.2"));
}

#[tokio::test]
async fn replicas_give_the_same_manifest_and_a_known_one_is_not_sent_again() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let path = format!("/dash/{}/manifest.mpd", feed.info.stream);
    let early = world.replica().await;
    let before = early.get(&path).await;
    feed.segments(2..3).await;
    until(async || early.get(&path).await.text != before.text).await;
    let late = world.replica().await;
    until(async || {
        let (one, other) = (early.get(&path).await, late.get(&path).await);
        one.text == other.text && one.header("etag") == other.header("etag")
    })
    .await;
    let answer = late.get(&path).await;
    let again = late.get_with(&path, &[("if-none-match", answer.header("etag"))]).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
}

#[tokio::test]
async fn a_manifest_is_waited_for_until_a_first_part_is_there() {
    let world = World::new();
    let feed = world.feed().await;
    let replica = world.replica().await;
    let path = format!("/dash/{}/manifest.mpd", feed.info.stream);
    let waiting: Vec<_> = (0..20).map(|_| replica.spawn_get(&path)).collect();
    replica.until_waiters(20).await;
    let before = replica.metrics.renders.get();
    feed.part(0, 0).await;
    for one in waiting {
        let answer = one.await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("<S t=\"0\" d=\"180000\"/>"), "{}", answer.text);
    }
    // Each rendition's entry may come as a change of its own.
    assert!(replica.metrics.renders.get() - before <= 3);
}

#[tokio::test]
async fn a_broadcast_keeps_its_manifest_when_another_begins() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..2).await;
    let replica = world.replica().await;
    let current = format!("/dash/{}/manifest.mpd", feed.info.stream);
    let own = format!("/dash/{}/{}.mpd", feed.info.stream, feed.info.broadcast);
    assert_eq!(replica.get(&own).await.text, replica.get(&current).await.text);
    feed.end(2).await;
    until(async || replica.get(&own).await.text.contains("type=\"static\"")).await;
    let ended = replica.get(&own).await;
    let mpd = parse(&ended.text).unwrap();
    assert_eq!(mpd.mediaPresentationDuration, Some(Duration::from_secs(4)));
    assert_eq!(ended.header("cache-control"), "public, max-age=60");
    let told = replica.get(&current).await;
    assert_eq!(told.header("cache-control"), "public, max-age=0, s-maxage=1");

    let mut next = world.feed().await;
    next.segments(0..1).await;
    let id = next.info.broadcast.to_string();
    until(async || replica.get(&current).await.text.contains(&id)).await;
    assert_eq!(replica.get(&own).await.text, ended.text);
}

#[tokio::test]
async fn the_clock_of_the_manifest_is_ours() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let manifest = replica.get(&format!("/dash/{}/manifest.mpd", feed.info.stream)).await;
    let mpd = parse(&manifest.text).unwrap();
    assert_eq!(mpd.UTCTiming[0].value.as_deref(), Some("time"));
    assert_eq!(mpd.UTCTiming[0].schemeIdUri, "urn:mpeg:dash:utc:http-iso:2014");
    let before = wall::ms();
    let answer = replica.get(&format!("/dash/{}/time", feed.info.stream)).await;
    let after = wall::ms();
    // Texts of one length, in the order of their times.
    assert!((time(before)..=time(after)).contains(&answer.text), "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_manifest_that_does_not_exist_is_404() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..1).await;
    let replica = world.replica().await;
    let stream = &feed.info.stream;
    for path in [
        "/dash/events.nobody/manifest.mpd".to_owned(),
        "/dash/nodot/manifest.mpd".to_owned(),
        "/dash/nodot/time".to_owned(),
        format!("/dash/{stream}/other.mpd"),
        format!("/dash/{stream}/{}", feed.info.broadcast),
        format!("/dash/{stream}/00000000-0000-7000-8000-000000000000.mpd"),
    ] {
        assert_eq!(replica.get(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_manifest_is_written_again_for_a_segments_first_part_and_no_other() {
    let world = World::new();
    let mut feed = world.feed().await;
    feed.segments(0..3).await;
    feed.part(3, 0).await;
    let replica = world.replica().await;
    let path = format!("/dash/{}/manifest.mpd", feed.info.stream);
    let first = replica.get(&path).await;
    feed.part(3, 1).await;
    for rendition in ["480p", "720p", "audio"] {
        let reload = feed.path(rendition, "media.m3u8?_HLS_msn=3&_HLS_part=1");
        assert_eq!(replica.get(&reload).await.status, 200);
    }
    let written = replica.metrics.renders.get();
    assert_eq!(replica.get(&path).await.text, first.text);
    assert_eq!(replica.metrics.renders.get(), written);
    feed.segment(3).await;
    feed.part(4, 0).await;
    until(async || replica.get(&path).await.text.contains("r=\"4\"")).await;
    assert!(replica.metrics.renders.get() > written);
}
