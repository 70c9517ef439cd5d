//! Manifests a person has reviewed, in `tests/golden`. After an intended change
//! run with `UPDATE_GOLDEN=1` and review the difference.

use std::path::PathBuf;

use crate::broadcast::broadcast;
use crate::course::{Course, Event, Whose};

fn compare(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    assert!(reviewed == found, "{name} differs from the reviewed one:\n{found}");
}

/// Six segments: a new encoder finishes the second, one rung has no fourth, and
/// the publisher is away for seven seconds after the fifth.
#[test]
fn manifests_are_the_reviewed_ones() {
    let broadcast = broadcast(120);
    let mut course = Course::new(&broadcast);
    assert_eq!(course.manifest(), None, "nothing is published");
    for n in 0..6 {
        let event = Event {
            outage: (n == 4).then_some((20, 7_000)),
            restart: n == 1,
            gap: (n == 3).then_some(1),
            init: (n == 5).then_some(Whose::All),
        };
        for (index, entries) in course.segment(event) {
            course.apply(index, &entries);
        }
    }
    compare("live.mpd", &course.manifest().unwrap());
    course.end();
    compare("ended.mpd", &course.manifest().unwrap());
}
