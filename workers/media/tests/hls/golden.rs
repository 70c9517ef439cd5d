//! Playlists a person has reviewed, in `tests/golden`. After an intended
//! change run with `UPDATE_GOLDEN=1` and review the difference.

use std::path::PathBuf;

use millrace_media::hls::{Report, Window, media_playlist, multivariant};
use millrace_media::id::Msn;
use millrace_media::published::{BroadcastInfo, Entry, RenditionInfo};

use crate::broadcast::{Publisher, Twist, broadcast};

fn compare(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    assert!(reviewed == found, "{name} differs from the reviewed one:\n{found}");
}

/// Nine segments, the fourth cut short by a discontinuity and the eighth
/// finished by a second run, and two parts of a tenth.
fn published(broadcast: &BroadcastInfo, rendition: &RenditionInfo, frame: i64) -> Vec<Entry> {
    let mut publisher = Publisher::new(broadcast, rendition, frame, 0);
    let mut entries = Vec::new();
    for n in 0..10 {
        entries.extend(publisher.segment(Twist {
            cut: (n == 3).then_some(7),
            restart: (n == 7).then_some(4),
            new_init: n == 4,
        }));
    }
    let keep = entries.iter().position(|e| e.id() == (9, 3)).unwrap();
    entries.truncate(keep);
    entries
}

fn window(broadcast: &BroadcastInfo, rendition: &RenditionInfo, frame: i64) -> Window {
    let mut window = Window::new(broadcast, rendition);
    for entry in published(broadcast, rendition, frame) {
        assert!(window.apply(&entry));
    }
    window
}

#[test]
fn media_playlists_are_the_reviewed_ones() {
    let broadcast = broadcast(120);
    let [low, high, audio] = &broadcast.renditions[..] else { panic!() };
    let mut low_window = window(&broadcast, low, 3_600);
    let audio_window = window(&broadcast, audio, 1_024);
    let report = |rendition, window: &Window| Report { rendition, last: window.last().unwrap() };
    let reports = [report(&high.name, &low_window), report(&audio.name, &audio_window)];

    let text = |skip| media_playlist(&broadcast, low, &low_window, &reports, skip);
    compare("video.m3u8", &text(false));
    compare("video-delta.m3u8", &text(true));
    compare("audio.m3u8", &media_playlist(&broadcast, audio, &audio_window, &reports[..1], false));

    assert!(low_window.apply(&Entry::End { msn: Msn(10) }));
    compare("video-ended.m3u8", &media_playlist(&broadcast, low, &low_window, &reports, true));
}

#[test]
fn the_multivariant_playlist_is_the_reviewed_one() {
    let mut broadcast = broadcast(120);
    let text = multivariant(&broadcast, None);
    compare("multivariant.m3u8", &text);
    let parsed = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    assert_eq!(parsed.variants.len(), 2);
    assert_eq!(parsed.variants[1].bandwidth, 3_000 * 1_070 + 140_000);
    assert_eq!(parsed.alternatives[0].group_id, "audio");

    broadcast.renditions.pop();
    let parsed = multivariant(&broadcast, None);
    let parsed = m3u8_rs::parse_master_playlist_res(parsed.as_bytes()).unwrap();
    assert_eq!(parsed.variants[0].codecs.as_deref(), Some("avc1.42c01e"));
    assert_eq!(parsed.variants[0].audio, None);
}
