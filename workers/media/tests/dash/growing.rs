//! The segment that grows.

use millrace_media::published::Entry;

use crate::broadcast::broadcast;
use crate::course::{Course, Event};
use crate::presentation::{Presentation, Segment};

/// The segments of the first rung and the sound.
fn segments(course: &Course<'_>) -> [Vec<Segment>; 2] {
    let now = Presentation::parse(&course.manifest().unwrap());
    ["480p", "audio"].map(|name| {
        let tracks = now.periods.iter().flat_map(|p| &p.tracks).filter(|t| t.name == name);
        tracks.flat_map(|t| &t.segments).cloned().collect()
    })
}

#[test]
fn a_segment_is_listed_when_all_have_a_part_as_long_as_it_will_be() {
    let broadcast = broadcast(30);
    let mut course = Course::new(&broadcast);
    let mut listed = Vec::new();
    for n in 0..10 {
        let all = course.segment(Event::default());
        for (index, entries) in &all {
            course.apply(*index, &entries[..1]);
            let begun = course.manifest().map_or(0, |_| segments(&course)[0].len());
            assert_eq!(begun, if *index == 2 { n + 1 } else { n });
        }
        listed.push(segments(&course));
        for (index, entries) in &all {
            course.apply(*index, &entries[1..]);
            // Whole for one or for all, it is the same.
            assert_eq!(Some(&segments(&course)), listed.last());
        }
    }
}

#[test]
fn an_older_writers_segment_is_listed_when_it_is_whole() {
    let broadcast = broadcast(30);
    let mut course = Course::new(&broadcast);
    let mut all = course.segment(Event::default());
    for (index, entries) in &mut all {
        for entry in entries.iter_mut() {
            if let Entry::Part(part) = entry {
                part.base = None;
            }
        }
        course.apply(*index, &entries[..3]);
    }
    assert_eq!(course.manifest(), None);
    for (index, entries) in &all {
        course.apply(*index, entries);
    }
    assert_eq!(segments(&course)[0].len(), 1);
}
