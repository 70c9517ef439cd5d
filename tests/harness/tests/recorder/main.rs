//! The recorder against a small origin: it finds nothing wrong with a good
//! broadcast, and what is wrong with a bad one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it stands")]

mod origin;
mod package;

use std::time::Duration;

use bytes::Bytes;
use millrace_harness::counter;
use millrace_harness::http::Http;
use millrace_harness::recorder::{Mode, Recorder, Report};
use millrace_media::published::Entry;

use crate::origin::Later;
use crate::package::{FIRST, PICTURES, Packaged};

async fn record(mode: Mode, damage: impl FnOnce(&mut Vec<Packaged>)) -> Report {
    let (broadcast, mut packaged) = package::broadcast().await;
    damage(&mut packaged);
    let index = origin::serve(broadcast, packaged, None).await;
    let recorder = Recorder::start(&Http::new().unwrap(), &index, mode, true).await.unwrap();
    recorder.until_ended(Duration::from_mins(1)).await.unwrap()
}

/// Bytes of the entry with this id.
fn bytes(rendition: &mut Packaged, id: (u64, u64)) -> &mut Bytes {
    let found = rendition.entries.iter_mut().find(|(entry, _)| entry.id() == id);
    &mut found.unwrap().1
}

#[tokio::test]
async fn a_good_broadcast_is_seen_whole_and_unbroken() {
    for mode in [Mode::LowLatency, Mode::Classic] {
        let report = record(mode, |_| {}).await;
        assert_eq!(report.breaches(), 0, "{report}");
        let video = report.rendition("360p").unwrap();
        assert_eq!(video.segments.len(), 4);
        assert_eq!(video.frames().count(), usize::try_from(PICTURES).unwrap());
        assert!(mode == Mode::Classic || video.compared > 0, "{report}");
        assert!(video.fetched_again > 0 && video.ended, "{report}");
        let expected: Vec<_> = (FIRST..FIRST + PICTURES).map(Some).collect();
        assert_eq!(counter::read(video.file().unwrap()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_segment_that_is_not_its_parts_is_told() {
    let report = record(Mode::LowLatency, |packaged| {
        let video = &mut packaged[0];
        let other = bytes(video, (3, Entry::SEGMENT_SEQUENCE)).clone();
        *bytes(video, (2, Entry::SEGMENT_SEQUENCE)) = other;
    })
    .await;
    let text = report.to_string();
    assert!(text.contains("segment 2: is not the sum of its parts"), "{text}");
    assert!(text.contains("decode time jumps by 180000 ticks"), "{text}");
    assert!(text.contains("decode time jumps by -180000 ticks"), "{text}");
}

#[tokio::test]
async fn what_is_still_listed_at_the_end_must_be_there_as_it_was() {
    let after = async |later| {
        let (broadcast, packaged) = package::broadcast().await;
        let index = origin::serve(broadcast, packaged, Some(("360p/2-1.m4s", later))).await;
        let http = Http::new().unwrap();
        let recorder = Recorder::start(&http, &index, Mode::LowLatency, false).await.unwrap();
        recorder.until_ended(Duration::from_mins(1)).await.unwrap().to_string()
    };
    let text = after(Later::Changed).await;
    assert!(text.contains("2-1.m4s: its bytes changed"), "{text}");
    let text = after(Later::Gone).await;
    assert!(text.contains("2-1.m4s: still listed and not served again"), "{text}");
}

#[tokio::test]
async fn any_servers_broadcast_is_followed_from_either_playlist() {
    let (broadcast, packaged) = package::broadcast().await;
    let index = origin::serve(broadcast, packaged, None).await;
    let http = Http::new().unwrap();
    let recorder = Recorder::start_any(&http, &index).await.unwrap();
    let report = recorder.until_ended(Duration::from_mins(1)).await.unwrap();
    assert_eq!(report.breaches(), 0, "{report}");
    let video = report.renditions.iter().find(|rendition| rendition.video).unwrap();
    assert!(video.parts > 0 && video.segments.len() == 4, "{report}");
    let listed = http.text(&index).await.unwrap();
    let media = listed.lines().find(|line| line.ends_with("360p/media.m3u8")).unwrap();
    let media = millrace_harness::playlist::resolve(&index, media).unwrap();
    let recorder = Recorder::start_any(&http, &media).await.unwrap();
    let report = recorder.until_ended(Duration::from_mins(1)).await.unwrap();
    assert_eq!((report.renditions.len(), report.breaches()), (1, 0), "{report}");
}

#[tokio::test]
async fn wrong_lengths_and_false_keyframes_are_told() {
    let report = record(Mode::LowLatency, |packaged| {
        for (entry, _) in &mut packaged[0].entries {
            if let Entry::Part(part) = entry
                && (part.msn.0, part.part) == (1, 3)
            {
                part.independent = true;
            }
        }
        let longer = bytes(&mut packaged[1], (1, 2)).clone();
        *bytes(&mut packaged[1], (2, 10)) = longer;
    })
    .await;
    let text = report.to_string();
    assert!(text.contains("1.3-1.m4s: INDEPENDENT without a keyframe"), "{text}");
    assert!(text.contains("2.9-1.m4s: ") && text.contains(" µs are inside"), "{text}");
}

#[tokio::test]
async fn audio_away_from_video_is_told() {
    let report = record(Mode::Classic, |packaged| {
        // Video's own numbers, one segment off.
        let audio = &mut packaged[1];
        let other = bytes(audio, (2, Entry::SEGMENT_SEQUENCE)).clone();
        *bytes(audio, (1, Entry::SEGMENT_SEQUENCE)) = other;
    })
    .await;
    assert!(report.to_string().contains("ms away from video"), "{report}");
}
