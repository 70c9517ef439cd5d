//! A minute of the clip, and what every rendition of it must be.
//!
//! The minute is published once; each test judges it for one thing.

use std::time::Duration;

use millrace_harness::manifest::Manifest;
use tokio::sync::OnceCell;

use crate::stage::{Stage, watch_for};
use crate::watch::{PICTURE, Rendition, assert_even, times};

static MINUTE: OnceCell<Vec<Rendition>> = OnceCell::const_new();
const AUDIO_FRAME: f64 = 1_024.0 / 48_000.0;

async fn minute() -> &'static [Rendition] {
    MINUTE
        .get_or_init(|| async {
            let stage = Stage::open(&Manifest::new("minute")).await;
            let publisher = stage.publish();
            let mut viewer = stage.viewer().await;
            watch_for(&mut viewer, Duration::from_secs(62)).await;
            let renditions = Rendition::all(&stage.http, &stage.endpoints().hls).await;
            publisher.stop().await;
            stage.close().await;
            renditions
        })
        .await
}

async fn video() -> impl Iterator<Item = &'static Rendition> {
    minute().await.iter().filter(|rendition| rendition.resolution.is_some())
}

#[tokio::test]
async fn each_rung_has_the_size_its_playlist_names_and_every_picture_decodes() {
    let mut heights = Vec::new();
    for rung in video().await {
        let report = rung.probe().await;
        let stream = report.stream("video").unwrap();
        let size = (stream.width.unwrap(), stream.height.unwrap());
        assert_eq!(Some(size), rung.resolution, "{}", rung.uri);
        assert_eq!(report.frames("video"), u64::try_from(report.packets.len()).unwrap());
        heights.push(size.1);
    }
    heights.sort_unstable();
    assert_eq!(heights, [480, 720]);
}

#[tokio::test]
async fn each_rung_is_within_a_fifth_of_its_bitrate() {
    for rung in video().await {
        let bytes: usize = rung.segments.iter().map(|(_, bytes)| bytes.len()).sum();
        let kbps = f64::from(u32::try_from(bytes).unwrap()) * 8.0 / 1_000.0 / rung.duration();
        let (_, height) = rung.resolution.unwrap();
        let manifest = Manifest::new("");
        let wanted = manifest.ladder.iter().find(|(_, rung, _)| *rung == height).unwrap().2;
        let share = kbps / f64::from(wanted);
        println!("{height}p: {kbps:.0} kb/s, wanted {wanted}");
        assert!((0.8..=1.2).contains(&share), "{height}p: {kbps:.0} kb/s instead of {wanted}");
    }
}

#[tokio::test]
async fn each_segment_begins_with_a_keyframe() {
    for rung in video().await {
        for (segment, bytes) in &rung.segments {
            let packets = rung.packets(bytes).await;
            assert!(packets[0].flags.starts_with('K'), "{} {}", rung.uri, segment.uri);
        }
    }
}

#[tokio::test]
async fn sequence_numbers_are_contiguous_and_the_same_in_every_rendition() {
    let renditions = minute().await;
    let first = &renditions[0].playlist;
    assert!(first.segments.len() >= 30, "{} segments", first.segments.len());
    for rendition in renditions {
        let playlist = &rendition.playlist;
        assert_eq!(playlist.first_msn, first.first_msn, "{}", rendition.uri);
        for segment in &playlist.segments {
            assert!(!segment.gap && !segment.discontinuity, "{} {}", rendition.uri, segment.uri);
            let name = segment.uri.rsplit('/').next().unwrap();
            let msn = name.split('-').next().unwrap();
            assert_eq!(msn, segment.msn.to_string(), "{}", rendition.uri);
        }
    }
}

#[tokio::test]
async fn every_picture_of_a_minute_is_there_once() {
    for rung in video().await {
        let times = times(&rung.probe().await.packets);
        assert!(times.len() >= 60 * 25, "{} pictures", times.len());
        assert_even(&times, PICTURE);
    }
}

#[tokio::test]
async fn sound_has_no_gap_and_no_overlap_and_begins_with_the_picture() {
    let renditions = minute().await;
    let sound: Vec<_> = renditions.iter().filter(|r| r.resolution.is_none()).collect();
    assert_eq!(sound.len(), 1, "one audio group");
    let heard = times(&sound[0].probe().await.packets);
    assert_even(&heard, AUDIO_FRAME);
    let seen = times(&renditions[0].probe().await.packets);
    let apart = (heard[0] - seen[0]).abs();
    assert!(apart < 0.05, "they begin {apart:.3} s apart");
}
