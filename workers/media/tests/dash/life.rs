//! Broadcasts of any course, one segment of one rendition at a time: what a
//! manifest said of a segment stays so, and is what its entry says.

use std::collections::HashMap;

use millrace_media::hls::Window;
use millrace_media::published::{BroadcastInfo, Entry, MediaName, SegmentInfo};
use proptest::prelude::*;

use crate::broadcast::{STARTED_MS, broadcast};
use crate::course::{Course, Event, manifest};
use crate::presentation::{Presentation, Segment};

const DVR_SECONDS: i64 = 30;

fn any_event() -> impl Strategy<Value = Event> {
    let outage = (0_u32..45, prop_oneof![Just(40_i64), 0..500_i64, 500..70_000_i64]);
    let outage = prop_oneof![6 => Just(None), 1 => outage.prop_map(Some)];
    let gap = prop_oneof![9 => Just(None), 1 => (0_usize..3).prop_map(Some)];
    (outage, prop::bool::weighted(0.2), gap).prop_map(|(outage, restart, gap)| Event {
        outage,
        restart,
        gap,
    })
}

/// Of a track in a Period: its offset and its init segment.
type Track = (i64, String);

/// What must stay as it was when it was first seen.
#[derive(Default)]
struct Memory {
    /// Start and tracks by their names, by the Period's id.
    periods: HashMap<String, (i64, HashMap<String, Track>)>,
    published: String,
    /// What each segment's entry says, by its URL.
    entries: HashMap<String, SegmentInfo>,
}

impl Memory {
    fn note(&mut self, broadcast: &BroadcastInfo, index: usize, entries: &[Entry]) {
        let Some(Entry::Segment(segment)) = entries.last() else { panic!("a segment is last") };
        let (name, id) = (&broadcast.renditions[index].name, broadcast.broadcast);
        let media = MediaName::Segment { msn: segment.msn, run: segment.run };
        let url = format!("../../hls/{}/{id}/{name}/{media}", broadcast.stream);
        self.entries.insert(url, segment.clone());
    }

    fn check(&mut self, now: &Presentation) {
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
                    assert!(!info.gap);
                    assert_eq!((info.start, info.duration), (segment.time, segment.duration));
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

fn live(events: &[Event], order: [usize; 3]) {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    // Another replica, started with the second segment.
    let mut late: Vec<_> =
        broadcast.renditions.iter().map(|r| Window::new(&broadcast, r)).collect();
    let mut memory = Memory::default();
    for (n, event) in events.iter().enumerate() {
        let new_init = n > 0 && events[n - 1].outage.is_some();
        let all = course.segment(*event, new_init);
        for (index, entries) in &all {
            memory.note(&broadcast, *index, entries);
        }
        for (step, index) in order.into_iter().enumerate() {
            course.apply(index, &all[index].1);
            if n > 0 {
                all[index].1.iter().for_each(|entry| _ = late[index].apply(entry));
            }
            // Another step each time: parsing is slow.
            if step == n % 3
                && let Some(text) = course.manifest()
            {
                memory.check(&Presentation::parse(&text));
            }
        }
        let Some(text) = course.manifest() else { continue };
        let now = Presentation::parse(&text);
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
        assert_eq!(segments(&before, name), segments(&ended, name));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_broadcast_of_any_course_keeps_the_rules(
        events in prop::collection::vec(any_event(), 1..45),
        order in Just([0, 1, 2]).prop_shuffle(),
    ) {
        live(&events, order);
    }
}

#[test]
fn another_init_segment_without_a_discontinuity_begins_a_period_where_the_last_ends() {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    for n in 0..4 {
        for (index, entries) in course.segment(Event::default(), n == 2) {
            course.apply(index, &entries);
        }
    }
    let now = Presentation::parse(&course.manifest().unwrap());
    let [first, second] = &now.periods[..] else { panic!("{} periods", now.periods.len()) };
    assert_ne!(first.id, second.id);
    assert_eq!(first.start + first.duration.unwrap(), second.start);
    assert_eq!(second.start, 4_000_000);
    for (track, later) in first.tracks.iter().zip(&second.tracks) {
        assert_ne!(track.init, later.init);
        assert_eq!((track.segments.len(), later.segments.len()), (2, 2));
    }
}

#[test]
fn a_presentation_that_is_over_begins_with_its_media() {
    let broadcast = broadcast(DVR_SECONDS);
    let mut course = Course::new(&broadcast);
    for _ in 0..40 {
        for (index, entries) in course.segment(Event::default(), false) {
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
