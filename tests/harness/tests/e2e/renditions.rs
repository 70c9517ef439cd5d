//! A minute of the clip, and what every rendition of it must be.
//!
//! The minute is published and recorded once; each test judges it for one thing.

use std::collections::HashMap;
use std::time::Duration;

use millrace_harness::manifest::Manifest;
use millrace_harness::playlist::Multivariant;
use millrace_harness::probe::{self, Depth};
use millrace_harness::recorder::{RenditionReport, Report};
use tokio::sync::OnceCell;

use crate::stage::{Stage, assert_sound, watch_for};

static MINUTE: OnceCell<Minute> = OnceCell::const_new();

struct Minute {
    report: Report,
    /// RESOLUTION by rung.
    sizes: HashMap<String, (u32, u32)>,
}

async fn minute() -> &'static Minute {
    MINUTE
        .get_or_init(|| async {
            let stage = Stage::open(&Manifest::new("minute")).await;
            let publisher = stage.publish();
            let recorder = stage.record().await;
            let mut viewer = stage.viewer().await;
            watch_for(&mut viewer, Duration::from_secs(62)).await;
            let index = stage.http.text(&stage.endpoints().hls).await.unwrap();
            let report = recorder.stop().await.unwrap();
            publisher.stop().await;
            stage.close().await;
            let variants = Multivariant::parse(&index).unwrap().variants;
            let rung = |uri: &str| uri.rsplit('/').nth(1).unwrap().to_owned();
            let sizes = variants
                .iter()
                .map(|variant| (rung(&variant.uri), variant.resolution().unwrap()))
                .collect();
            Minute { report, sizes }
        })
        .await
}

impl Minute {
    fn video(&self) -> impl Iterator<Item = &RenditionReport> {
        self.report.renditions.iter().filter(|rendition| rendition.video)
    }

    fn audio(&self) -> &RenditionReport {
        self.report.renditions.iter().find(|rendition| !rendition.video).unwrap()
    }
}

/// Seconds that the frames of a rendition last.
fn seconds(rendition: &RenditionReport) -> f64 {
    let ticks: i64 = rendition.frames().map(|frame| frame.duration).sum();
    f64::from(i32::try_from(ticks).unwrap()) / f64::from(rendition.timescale)
}

/// Every frame begins where the one before ends.
#[track_caller]
fn assert_even(rendition: &RenditionReport, step: i64) {
    let mut times: Vec<i64> = rendition.frames().map(|frame| frame.pts).collect();
    times.sort_unstable();
    for pair in times.windows(2) {
        assert_eq!(pair[1] - pair[0], step, "{}: {} then {}", rendition.name, pair[0], pair[1]);
    }
}

#[tokio::test]
async fn a_minute_breaks_no_rule_and_every_promise_is_kept() {
    let minute = minute().await;
    assert_sound(&minute.report);
    assert_eq!(minute.video().count(), 2);
    for rendition in &minute.report.renditions {
        assert!(seconds(rendition) >= 60.0, "{}: {} s", rendition.name, seconds(rendition));
    }
}

#[tokio::test]
async fn each_rung_has_the_size_its_playlist_names_and_every_picture_decodes() {
    let minute = minute().await;
    for rung in minute.video() {
        let file = rung.file().unwrap();
        let report = probe::bytes(&[&file], Depth::Frames).await.unwrap();
        let stream = report.stream("video").unwrap();
        let size = (stream.width.unwrap(), stream.height.unwrap());
        assert_eq!(size, minute.sizes[&rung.name], "{}", rung.name);
        assert_eq!(rung.name, format!("{}p", size.1));
        let decoded = usize::try_from(report.frames("video")).unwrap();
        assert_eq!(decoded, rung.frames().count(), "{}", rung.name);
    }
}

#[tokio::test]
async fn each_rung_is_within_a_fifth_of_its_bitrate() {
    let ladder = Manifest::new("").ladder;
    for rung in minute().await.video() {
        let bytes: usize = rung.frames().map(|frame| frame.size).sum();
        let kbps = f64::from(u32::try_from(bytes).unwrap()) * 8.0 / 1_000.0 / seconds(rung);
        let wanted = ladder.iter().find(|(name, _, _)| *name == rung.name).unwrap().2;
        let share = kbps / f64::from(wanted);
        println!("{}: {kbps:.0} kb/s, wanted {wanted}", rung.name);
        assert!((0.8..=1.2).contains(&share), "{}: {kbps:.0} instead of {wanted}", rung.name);
    }
}

#[tokio::test]
async fn each_segment_begins_with_a_keyframe() {
    for rung in minute().await.video() {
        for segment in &rung.segments {
            assert!(segment.frames[0].sync, "{} {}", rung.name, segment.uri);
        }
    }
}

#[tokio::test]
async fn every_picture_of_a_minute_is_there_once() {
    // The clip has 25 pictures a second.
    for rung in minute().await.video() {
        assert_even(rung, i64::from(rung.timescale) / 25);
    }
}

#[tokio::test]
async fn sound_has_no_gap_and_no_overlap_and_begins_with_the_picture() {
    let minute = minute().await;
    let audio = minute.audio();
    assert_eq!(audio.timescale, 48_000);
    assert_even(audio, 1_024);
    let start_ms = |rendition: &RenditionReport| {
        rendition.frames().next().unwrap().pts * 1_000 / i64::from(rendition.timescale)
    };
    for rung in minute.video() {
        let apart = (start_ms(audio) - start_ms(rung)).abs();
        assert!(apart <= 50, "sound and {} begin {apart} ms apart", rung.name);
    }
}
