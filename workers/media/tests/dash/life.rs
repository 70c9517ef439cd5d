//! Broadcasts of any course, one segment of one rendition at a time: what a
//! manifest said of a segment stays so, and is what its entry says.

use std::collections::HashMap;

use millrace_media::dash::TimedName;
use millrace_media::hls::Window;
use millrace_media::published::{BroadcastInfo, Entry, SegmentInfo};
use proptest::prelude::*;

use crate::broadcast::{STARTED_MS, broadcast};
use crate::course::{Course, Event, Whose, manifest};
use crate::presentation::{Presentation, Segment};

const DVR_SECONDS: i64 = 30;

fn any_event() -> impl Strategy<Value = Event> {
    let outage = (0_u32..45, prop_oneof![Just(40_i64), 0..500_i64, 500..70_000_i64]);
    let outage = prop_oneof![6 => Just(None), 1 => outage.prop_map(Some)];
    let one = || 0_usize..3;
    let gap = prop_oneof![9 => Just(None), 1 => one().prop_map(Some)];
    let whose = prop_oneof![one().prop_map(Whose::One), Just(Whose::All)];
    let init = prop_oneof![6 => Just(None), 1 => whose.prop_map(Some)];
    (outage, prop::bool::weighted(0.2), gap, init).prop_map(|(outage, restart, gap, init)| Event {
        outage,
        restart,
        gap,
        init,
    })
}

/// Of a track in a Period: its offset and its init segment.
type Track = (i64, String);

/// What must stay as it was when it was first seen.
#[derive(Default)]
struct Memory {
    /// Start and tracks by their names, by the Period's id.
    periods: HashMap<String, (i64, HashMap<String, Track>)>,
    /// The Period of each segment, by its URL.
    places: HashMap<String, String>,
    published: String,
    /// What each segment's entry says, by its URL.
    entries: HashMap<String, SegmentInfo>,
}

impl Memory {
    fn note(&mut self, broadcast: &BroadcastInfo, index: usize, entries: &[Entry]) {
        let Some(Entry::Segment(segment)) = entries.last() else { panic!("a segment is last") };
        let (name, id) = (&broadcast.renditions[index].name, broadcast.broadcast);
        let media = TimedName(segment.start.try_into().unwrap());
        let url = format!("../../hls/{}/{id}/{name}/{media}", broadcast.stream);
        self.entries.insert(url, segment.clone());
    }

    /// `growing`: the last segments may not be whole yet.
    fn check(&mut self, now: &Presentation, growing: bool) {
        assert!(now.published >= self.published, "publishTime went back");
        self.published.clone_from(&now.published);
        for (index, period) in now.periods.iter().enumerate() {
            let next = now.periods.get(index + 1);
            assert_eq!(period.duration.is_some(), next.is_some() || !now.dynamic, "{}", period.id);
            if let (Some(next), Some(duration)) = (next, period.duration) {
                assert!(duration > 0 && period.start + duration <= next.start, "{}", next.id);
            }
            let (start, tracks) = self
                .periods
                .entry(period.id.clone())
                .or_insert_with(|| (period.start, HashMap::new()));
            assert_eq!(*start, period.start, "Period {} moved", period.id);
            for track in &period.tracks {
                let standing = (track.offset, track.init.clone());
                let before = tracks.entry(track.name.clone()).or_insert_with(|| standing.clone());
                assert_eq!(*before, standing, "{} in Period {}", track.name, period.id);
                let mut end = None;
                for segment in &track.segments {
                    let info = &self.entries[&segment.url];
                    let place = self.places.entry(segment.url.clone());
                    let place = place.or_insert_with(|| period.id.clone());
                    assert_eq!(place, &period.id, "{segment:?}");
                    assert!(!info.gap);
                    assert_eq!(info.start, segment.time);
                    let last = growing && Some(segment) == track.segments.last();
                    assert!(last || info.duration == segment.duration);
                    assert!(end.is_none_or(|end| end <= segment.time), "they overlap");
                    end = Some(segment.time + segment.duration);
                    let wall = (info.date_ms - STARTED_MS) * 1_000;
                    let shown = track.presented(period, segment.time);
                    assert!((shown - wall).abs() <= 2_000, "{shown} is not {wall}: {segment:?}");
                }
            }
        }
    }
}

/// The segments of a rendition, whatever the Period.
fn segments<'p>(now: &'p Presentation, name: &str) -> Vec<&'p Segment> {
    let tracks = now.periods.iter().flat_map(|p| &p.tracks).filter(|t| t.name == name);
    tracks.flat_map(|t| &t.segments).collect()
}

/// One broadcast from its first part to its end, looking at the manifests of
/// two segments in each `stride`.
fn live(events: &[Event], order: [usize; 3], stride: usize) {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    // Another replica, started with the second segment.
    let mut late: Vec<_> =
        broadcast.renditions.iter().map(|r| Window::new(&broadcast, r)).collect();
    let mut memory = Memory::default();
    for (n, event) in events.iter().enumerate() {
        let all = course.segment(*event);
        let looks = n % stride < 2;
        for (index, entries) in &all {
            memory.note(&broadcast, *index, entries);
        }
        // The first part of each, then the rest.
        for index in order.into_iter().chain([3]) {
            if let Some((index, entries)) = all.get(index)
                && entries.len() > 1
            {
                course.apply(*index, &entries[..1]);
            }
            if let Some(text) = course.manifest().filter(|_| looks && (index == 3 || n % 5 == 0)) {
                memory.check(&Presentation::parse(&text), true);
            }
        }
        for (step, index) in order.into_iter().enumerate() {
            course.apply(index, &all[index].1);
            if n > 0 {
                all[index].1.iter().for_each(|entry| _ = late[index].apply(entry));
            }
            // Another step each time: parsing is slow.
            if looks
                && step == n % 3
                && let Some(text) = course.manifest()
            {
                memory.check(&Presentation::parse(&text), true);
            }
        }
        let Some(text) = course.manifest().filter(|_| looks) else { continue };
        let now = Presentation::parse(&text);
        memory.check(&now, false);
        if event.gap.is_none() {
            // All have it: it is the last of each.
            let period = now.periods.last().unwrap();
            for (track, (_, entries)) in period.tracks.iter().zip(&all) {
                let Some(Entry::Segment(info)) = entries.last() else { panic!() };
                assert_eq!(track.segments.last().unwrap().time, info.start);
            }
        }
        assert_eq!(segments(&now, "480p").len(), segments(&now, "720p").len());
    }
    if events.len() > 20 {
        assert_eq!(manifest(&broadcast, &late), course.manifest(), "replicas differ");
    }
    let Some(before) = course.manifest() else { return };
    course.end();
    let (before, ended) =
        (Presentation::parse(&before), Presentation::parse(&course.manifest().unwrap()));
    assert!(before.dynamic && !ended.dynamic && ended.published > before.published);
    for name in ["480p", "720p", "audio"] {
        let (before, ended) = (segments(&before, name), segments(&ended, name));
        // A Period may have waited for one of its sets until now.
        assert!(ended.starts_with(&before) && ended.len() <= before.len() + 2);
    }
}

/// Each takes long; as many more as are asked for.
fn few() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases / 20, ..config }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn a_broadcast_of_any_course_keeps_the_rules(
        events in prop::collection::vec(any_event(), 1..45),
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        live(&events, order, 1);
    }
}

#[test]
fn two_hours_of_a_broadcast_keep_the_rules() {
    let event = |n: usize| Event {
        outage: (n % 97 == 96)
            .then(|| (u32::try_from(n % 45).unwrap(), 100 + 77 * i64::try_from(n).unwrap())),
        restart: n % 61 == 60,
        gap: (n % 53 == 52).then_some(n % 3),
        init: (n % 71 == 70).then_some([Whose::All, Whose::One(n % 3)][n % 2]),
    };
    let events: Vec<_> = (0..3_600).map(event).collect();
    live(&events, [2, 0, 1], 12);
}

/// The courses of these segments' encoders, all in one window.
fn periods(inits: &[Option<Whose>]) -> Vec<crate::presentation::Period> {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    for init in inits {
        for (index, entries) in course.segment(Event { init: *init, ..Event::default() }) {
            course.apply(index, &entries);
        }
    }
    Presentation::parse(&course.manifest().unwrap()).periods
}

#[test]
fn another_init_segment_without_a_discontinuity_begins_a_period_where_the_last_ends() {
    let found = periods(&[None, None, Some(Whose::All), None]);
    let [first, second] = &found[..] else { panic!("{} periods", found.len()) };
    assert_eq!((first.id.as_str(), second.id.as_str()), ("0-0", "0-2"));
    assert_eq!(first.start + first.duration.unwrap(), second.start);
    assert_eq!(second.start, 4_000_000);
    for (track, later) in first.tracks.iter().zip(&second.tracks) {
        assert_ne!(track.init, later.init);
        assert_eq!((track.segments.len(), later.segments.len()), (2, 2));
    }
}

#[test]
fn an_init_segment_that_comes_back_begins_a_period_of_its_own() {
    let all = Some(Whose::All);
    let found = periods(&[None, None, all, None, all, None]);
    let ids: Vec<_> = found.iter().map(|period| period.id.as_str()).collect();
    assert_eq!(ids, ["0-0", "0-2", "0-4"]);
    assert_eq!(found[0].tracks[0].init, found[2].tracks[0].init);
}

#[test]
fn another_init_segment_of_the_sound_alone_begins_a_period_of_both() {
    let found = periods(&[None, None, Some(Whose::One(2)), None]);
    let [first, second] = &found[..] else { panic!("{} periods", found.len()) };
    for (track, later) in first.tracks.iter().zip(&second.tracks) {
        assert_eq!(track.init != later.init, track.name == "audio");
        assert_eq!((track.segments.len(), later.segments.len()), (2, 2));
    }
}

#[test]
fn a_period_is_shown_once_all_sets_are_in_it_and_soon_without_one_that_does_not_come() {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    let mut tracks = Vec::new();
    for n in 0..3 {
        let all = course.segment(Event::default());
        for (index, entries) in &all {
            if n == 0 || *index < 2 {
                course.apply(*index, entries);
            }
            if n == 0 && *index < 2 {
                assert_eq!(course.manifest(), None, "the sound is still to come");
            }
        }
        let now = Presentation::parse(&course.manifest().unwrap());
        tracks.push(now.periods[0].tracks.iter().map(|t| t.segments.len()).collect::<Vec<_>>());
    }
    assert_eq!(tracks, [[1, 1, 1], [1, 1, 1], [1, 1, 1]], "none gets ahead of the others");
    let mut silent = Course::new(&broadcast);
    let mut shown = Vec::new();
    for _ in 0..4 {
        for (index, entries) in silent.segment(Event::default()) {
            if index < 2 {
                silent.apply(index, &entries);
            }
        }
        shown.push(silent.manifest().is_some());
    }
    assert_eq!(shown, [false, false, false, true]);
}

#[test]
fn segments_of_an_older_writer_are_where_newer_ones_say_or_the_window_finds_them() {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    let mut ids = Vec::new();
    for n in 0..8 {
        let outage = (n == 1).then_some((10, 2_000));
        for (index, mut entries) in course.segment(Event { outage, ..Event::default() }) {
            if let (true, Some(Entry::Segment(segment))) = (n < 6, entries.last_mut()) {
                segment.base = None;
            }
            course.apply(index, &entries);
        }
        let now = Presentation::parse(&course.manifest().unwrap());
        ids.push(now.periods.last().unwrap().id.clone());
    }
    assert_eq!(ids, ["0-0", "0-0", "1-2", "1-2", "1-2", "1-2", "1-2", "1-2"]);
}

#[test]
fn a_presentation_that_is_over_begins_with_its_media() {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    for _ in 0..40 {
        for (index, entries) in course.segment(Event::default()) {
            course.apply(index, &entries);
        }
    }
    let start = |course: &Course<'_>| {
        let now = Presentation::parse(&course.manifest().unwrap());
        let period = &now.periods[0];
        let track = &period.tracks[0];
        (period.start, track.presented(period, track.segments[0].time))
    };
    let (while_live, media) = start(&course);
    assert_eq!((while_live, media), (0, 50_000_000));
    course.end();
    assert_eq!(start(&course), (media, media));
}
