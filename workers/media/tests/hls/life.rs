//! Broadcasts of any course, one entry at a time: what changes in a playlist
//! is what RFC 8216bis §6.2 lets change.

use std::collections::HashMap;

use millrace_media::hls::{self, Reach, Window, media_playlist};
use millrace_media::id::Msn;
use millrace_media::published::{BroadcastInfo, Entry, MediaName, RenditionInfo};
use proptest::prelude::*;

use crate::broadcast::{Publisher, Twist, broadcast};
use crate::playlist::{Playlist, Report, Segment, micros};

const DVR_SECONDS: i64 = 30;

fn any_twist() -> impl Strategy<Value = Twist> {
    let rare =
        |range: std::ops::Range<u32>| prop_oneof![6 => Just(None), 1 => range.prop_map(Some)];
    let new_init = prop::bool::weighted(0.1);
    (rare(0..70), rare(0..12), new_init).prop_map(|(cut, restart, new_init)| Twist {
        cut,
        restart,
        new_init,
    })
}

/// What must stay as it was when it was first seen.
#[derive(Default)]
struct Memory {
    target: i64,
    control: Vec<(String, String)>,
    msn: u64,
    discontinuities: u32,
    /// Discontinuity number, date and init of each segment.
    standing: HashMap<u64, (u32, String, Option<String>)>,
    /// What each URI has named: its segment, its length, and its place among
    /// the parts.
    named: HashMap<String, (u64, i64, usize)>,
}

impl Memory {
    fn check(&mut self, list: &Playlist) {
        let control: Vec<_> = list.control.clone().into_iter().collect();
        if self.target == 0 {
            (self.target, self.control) = (list.target, control.clone());
        }
        assert_eq!((list.target, control), (self.target, self.control.clone()));
        assert!(list.msn >= self.msn, "EXT-X-MEDIA-SEQUENCE went back");
        assert!(list.discontinuities >= self.discontinuities, "discontinuities went back");
        (self.msn, self.discontinuities) = (list.msn, list.discontinuities);
        if let Some(first) = list.segments.first() {
            // What has left is counted, and nothing else.
            assert_eq!(first.discontinuities, list.discontinuities);
        }
        for segment in &list.segments {
            let whole = (!segment.uri.is_empty()).then_some((&segment.uri, segment.micros, 0));
            let parts = segment.parts.iter().zip(1..).map(|(part, n)| (&part.uri, part.micros, n));
            for (uri, micros, place) in parts.chain(whole) {
                let now = (segment.msn, micros, place);
                let before = self.named.entry(uri.clone()).or_insert(now);
                assert_eq!(*before, now, "{uri} has become another");
            }
            let now = (segment.discontinuities, segment.date.clone(), segment.map.clone());
            let before = self.standing.entry(segment.msn).or_insert_with(|| now.clone());
            assert_eq!(&now, before, "segment {} changed", segment.msn);
        }
    }
}

/// What every version must satisfy by itself.
fn check_version(list: &Playlist) {
    let seconds = |name: &str| micros(&list.control[name]);
    assert!(seconds("PART-HOLD-BACK") >= 3 * list.part_target);
    assert!(seconds("HOLD-BACK") >= 3 * list.target * 1_000_000);
    assert!(seconds("CAN-SKIP-UNTIL") >= 6 * list.target * 1_000_000);
    for segment in &list.segments {
        let parts: i64 = segment.parts.iter().map(|p| p.micros).sum();
        assert!(segment.parts.iter().all(|p| p.micros <= list.part_target));
        assert!(segment.uri.is_empty() || segment.parts.is_empty() || parts == segment.micros);
        // Rounded to the nearest second (§4.4.3.1).
        assert!((segment.micros + 500_000) / 1_000_000 <= list.target);
    }
    let complete = list.segments.iter().filter(|s| !s.uri.is_empty());
    let lengths: Vec<_> = complete.map(|s| s.micros).collect();
    let (total, first) = (lengths.iter().sum::<i64>(), lengths.first().copied().unwrap_or(0));
    assert!(total - first < (DVR_SECONDS + 3) * 1_000_000, "too long: {total}");
    if list.msn > 0 {
        assert!(total >= 3 * list.target * 1_000_000, "too short: {total}");
    }
}

/// Which parts are listed (§4.4.4.9), and the dates of segments that follow
/// each other.
fn check_parts_and_dates(list: &Playlist) {
    let end: i64 = list.segments.iter().map(length).sum();
    let mut at = 0;
    for segment in &list.segments {
        at += length(segment);
        let age = end - at;
        assert!(segment.parts.is_empty() || age < 3 * list.target * 1_000_000, "{age}");
        let but_last = segment.parts.iter().rev().skip(1);
        let short = but_last.filter(|part| part.micros * 100 < list.part_target * 85);
        assert_eq!(short.count(), 0, "parts under 85 % in segment {}", segment.msn);
    }
    for pair in list.segments.windows(2) {
        let passed = pair[1].date_ms() - pair[0].date_ms();
        let jumps = pair[0].discontinuities != pair[1].discontinuities;
        assert!(jumps || (passed - length(&pair[0]) / 1_000).abs() <= 1, "{pair:?}");
        assert!(passed > 0, "{pair:?}");
    }
}

/// Of a segment, or of what there is of it, in microseconds.
fn length(segment: &Segment) -> i64 {
    let parts = || segment.parts.iter().map(|part| part.micros).sum();
    if segment.uri.is_empty() { parts() } else { segment.micros }
}

/// A delta update makes the same of the version before as the whole one.
fn check_delta(whole: &Playlist, delta: &str, before: &Playlist) {
    let delta = Playlist::parse(delta);
    let skipped = usize::try_from(delta.skipped).unwrap();
    let kept = whole.segments[skipped..].iter().map(length).sum::<i64>();
    let boundary = micros(&whole.control["CAN-SKIP-UNTIL"]);
    assert!(skipped == 0 || kept > boundary, "skipped what is younger than the boundary");
    let mut merged = delta.merged(before);
    for (merged, whole) in merged.segments.iter_mut().zip(&whole.segments) {
        if whole.parts.is_empty() {
            // A player may still know parts that are no longer listed.
            merged.parts.clear();
        }
    }
    assert_eq!(merged.segments, whole.segments);
    assert_eq!((merged.msn, &merged.hint), (whole.msn, &whole.hint));
}

fn check_reach(window: &Window) {
    let last = window.last().unwrap();
    assert_eq!(window.reach(last.msn, last.part), Reach::Available);
    assert_eq!(window.reach(Msn(last.msn.0 + 3), None), Reach::TooFar);
    if let Some(MediaName::Part { msn, part, .. }) = window.hint() {
        assert_eq!(window.reach(msn, Some(part)), Reach::Later);
        assert_eq!(window.reach(msn, None), Reach::Later);
        assert_eq!(window.reach(msn, Some(part + 30)), Reach::TooFar);
    }
}

/// The preload hint is right, unless the encoder restarts or the segment is
/// cut short, which nobody can know before.
fn check_hint(window: &Window, next: &Entry, twisted: bool) {
    if let (Entry::Part(next), Some(hint), false) = (next, window.hint(), twisted) {
        let name = MediaName::Part { msn: next.msn, part: next.part, run: next.run };
        assert_eq!(hint, name);
    }
}

/// One broadcast from its first entry to its end, looking at the playlist after
/// every `stride`th entry.
fn live(
    broadcast: &BroadcastInfo,
    rendition: &RenditionInfo,
    frame: i64,
    twists: &[Twist],
    stride: usize,
) {
    let mut publisher = Publisher::new(broadcast, rendition, frame, 0);
    let mut window = Window::new(broadcast, rendition);
    let text = |window: &Window, skip| media_playlist(broadcast, rendition, window, &[], skip);
    // Another replica, started in the middle of the second segment.
    let mut late = Window::new(broadcast, rendition);
    let mut memory = Memory::default();
    let mut count = 0;
    let mut before = Playlist::parse(&text(&window, false));
    for (n, twist) in twists.iter().enumerate() {
        let entries = publisher.segment(*twist);
        let twisted = twist.restart.is_some() || (n > 0 && twists[n - 1].cut.is_some());
        for entry in &entries {
            check_hint(&window, entry, twisted);
            assert!(window.apply(entry));
            assert!(!window.apply(entry) && !window.apply(&entries[0]), "not idempotent");
            if n > 1 || (n == 1 && entry.id().1 > 3) {
                late.apply(entry);
            }
            count += 1;
            if count % stride != 0 {
                continue;
            }
            let list = Playlist::parse(&text(&window, false));
            memory.check(&list);
            check_version(&list);
            check_parts_and_dates(&list);
            check_delta(&list, &text(&window, true), &before);
            check_reach(&window);
            before = list;
        }
        if n % stride == 0 {
            let text = text(&window, false);
            let parsed = m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap();
            assert_eq!(parsed.segments.len(), Playlist::parse(&text).segments.len());
        }
    }
    if before.msn > 2 {
        assert_eq!(text(&late, false), text(&window, false), "replicas differ");
    }
    assert!(window.apply(&Entry::End { msn: Msn(publisher.msn) }));
    let last = text(&window, true);
    for late in publisher.segment(Twist::default()) {
        assert!(!window.apply(&late) && text(&window, true) == last, "the end is the end");
    }
    let ended = Playlist::parse(&last);
    memory.check(&ended);
    assert!(ended.ended && ended.skipped == 0 && ended.hint.is_none());
    assert!(ended.segments.iter().all(|s| s.parts.is_empty() && !s.uri.is_empty()));
    assert_eq!(window.reach(Msn(u64::MAX), Some(9)), Reach::Available);
}

/// Each takes long; as many more as are asked for.
fn few() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases / 20, ..config }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn video_of_any_course_keeps_the_rules(
        twists in prop::collection::vec(any_twist(), 1..60),
        frame in prop::sample::select(vec![3_600_i64, 3_003, 3_000, 1_500, 6_000]),
    ) {
        let broadcast = broadcast(DVR_SECONDS);
        live(&broadcast, &broadcast.renditions[0], frame, &twists, 1);
    }

    #[test]
    fn audio_of_any_course_keeps_the_rules(twists in prop::collection::vec(any_twist(), 1..60)) {
        let broadcast = broadcast(DVR_SECONDS);
        live(&broadcast, &broadcast.renditions[2], 1_024, &twists, 1);
    }
}

#[test]
fn two_hours_of_video_keep_the_rules() {
    let broadcast = broadcast(DVR_SECONDS);
    let twist = |n: u32| Twist {
        cut: (n % 97 == 96).then_some(n % 7),
        restart: (n % 61 == 60).then_some(n % 10),
        new_init: n % 97 == 5,
    };
    let twists: Vec<_> = (0..3_600).map(twist).collect();
    live(&broadcast, &broadcast.renditions[1], 3_000, &twists, 7);
}

#[test]
fn reports_say_where_the_other_renditions_are() {
    let broadcast = broadcast(DVR_SECONDS);
    let [video, _, audio] = &broadcast.renditions[..] else { panic!() };
    let mut pictures = Publisher::new(&broadcast, video, 3_600, 0);
    let mut sounds = Publisher::new(&broadcast, audio, 1_024, 0);
    let (mut shown, mut heard) = (Window::new(&broadcast, video), Window::new(&broadcast, audio));
    for _ in 0..5 {
        for entry in pictures.segment(Twist::default()) {
            shown.apply(&entry);
        }
        for entry in sounds.segment(Twist::default()) {
            heard.apply(&entry);
            let last = heard.last().unwrap();
            let reports = [hls::Report { rendition: &audio.name, last }];
            let text = media_playlist(&broadcast, video, &shown, &reports, false);
            let uri = "../audio/media.m3u8".to_owned();
            let (msn, part) = match &entry {
                Entry::Part(part) => (part.msn, Some(part.part)),
                // The last part of the segment still is the last.
                Entry::Segment(segment) => (segment.msn, last.part),
                Entry::End { .. } => panic!(),
            };
            assert_eq!(Playlist::parse(&text).reports, [Report { uri, msn: msn.0, part }]);
        }
    }
}

#[test]
fn a_hole_drops_what_is_before_it() {
    let broadcast = broadcast(DVR_SECONDS);
    let rendition = &broadcast.renditions[0];
    let mut publisher = Publisher::new(&broadcast, rendition, 3_600, 0);
    let mut window = Window::new(&broadcast, rendition);
    for n in 0..6 {
        for entry in publisher.segment(Twist::default()) {
            if n != 3 {
                window.apply(&entry);
            }
        }
    }
    let list = Playlist::parse(&media_playlist(&broadcast, rendition, &window, &[], false));
    assert_eq!((list.msn, list.segments.len()), (4, 2));
}

#[test]
fn segments_known_only_from_the_index_are_listed_without_parts() {
    let broadcast = broadcast(DVR_SECONDS);
    let rendition = &broadcast.renditions[0];
    let mut publisher = Publisher::new(&broadcast, rendition, 3_600, 7);
    let mut window = Window::new(&broadcast, rendition);
    for _ in 0..3 {
        window.apply(publisher.segment(Twist::default()).last().unwrap());
    }
    let list = Playlist::parse(&media_playlist(&broadcast, rendition, &window, &[], false));
    assert_eq!((list.msn, list.segments.len()), (7, 3));
    assert!(list.segments.iter().all(|s| s.parts.is_empty()));
    assert_eq!(list.hint.as_deref(), Some("10.0-1.m4s"));
    assert_eq!(window.reach(Msn(9), Some(3)), Reach::Available);
    assert_eq!(window.reach(Msn(10), Some(0)), Reach::Later);
}
