use millrace_media::id::BroadcastId;
use millrace_platform::postgres::sessions::SessionSource;
use millrace_platform::redis::viewers::{Settled, Sign};
use uuid::Uuid;

use super::*;

const NOW: i64 = 1_764_000_000_000;

fn stream() -> StreamId {
    "events.keynote".parse().unwrap()
}

fn empty(viewers: usize) -> Table {
    Table::new(Bounds { viewers, arrivals: 2 })
}

fn seen(viewer: &str, rung: &str) -> Sighting {
    Sighting {
        viewer: viewer.parse().unwrap(),
        network: None,
        source: SessionSource::Beacon,
        sign: Sign::Seen,
        covers: None,
        broadcast: BroadcastId(Uuid::nil()),
        rendition: Some(rung.parse().unwrap()),
        stalls: 0,
        more_stalls: 0,
        dropped_frames: 0,
        watch_ms: None,
    }
}

fn guessed() -> Sighting {
    Sighting { sign: Sign::Guessed, source: SessionSource::Guess, ..seen("g-guessed", "720p") }
}

/// The reports of the one stream.
fn due(table: &mut Table, now: i64) -> Vec<Report> {
    table.due(now).into_iter().flat_map(|(_, reports)| reports).collect()
}

/// What all know after a report.
fn visit(report: &Report, joined_ms: i64) -> Visit {
    Visit {
        joined_ms,
        broadcast: report.broadcast,
        rendition: report.rendition.clone(),
        rung_changes: 0,
        stalls: report.stalls,
        dropped_frames: report.dropped_frames,
        rendition_before: None,
        new_stalls: 2,
        new_dropped_frames: 3,
    }
}

#[test]
fn many_requests_of_a_viewer_are_one_report_in_ten_seconds() {
    let mut table = empty(10);
    for second in 0..30 {
        for _ in 0..5 {
            assert!(table.see(&stream(), seen("viewer-1", "720p"), NOW + second * 1_000));
        }
        let reports = due(&mut table, NOW + second * 1_000 + 500);
        assert_eq!(reports.len(), usize::from(second % 10 == 0), "second {second}");
    }
}

#[test]
fn a_clock_that_steps_back_delays_no_report() {
    let mut table = empty(10);
    table.see(&stream(), seen("viewer-1", "720p"), NOW);
    assert_eq!(due(&mut table, NOW).len(), 1);
    table.see(&stream(), seen("viewer-1", "720p"), NOW - 3_600_000);
    assert_eq!(due(&mut table, NOW - 3_600_000).len(), 1);
}

#[test]
fn news_is_reported_at_once() {
    let mut table = empty(10);
    table.see(&stream(), seen("viewer-1", "720p"), NOW);
    assert_eq!(due(&mut table, NOW).len(), 1);
    assert_eq!(due(&mut table, NOW + 20_000), [], "nothing was seen since");
    table.see(&stream(), seen("viewer-1", "480p"), NOW + 1_000);
    assert_eq!(due(&mut table, NOW + 1_000)[0].rendition, Some("480p".parse().unwrap()));
    table.see(&stream(), Sighting { more_stalls: 1, ..seen("viewer-1", "480p") }, NOW + 2_000);
    assert_eq!(due(&mut table, NOW + 2_000)[0].more_stalls, 1);
    table.see(&stream(), Sighting { sign: Sign::Left, ..seen("viewer-1", "480p") }, NOW + 3_000);
    let [left] = &due(&mut table, NOW + 3_000)[..] else { panic!() };
    assert_eq!(left.sign, Sign::Left);
    let known = table.settle(&stream(), left, Some(visit(left, NOW))).unwrap();
    assert!(known.left);
    assert_eq!((known.watch_ms, table.viewers()), (3_000, 0));
}

#[test]
fn one_look_is_no_viewer_and_ten_seconds_of_them_are_one() {
    let mut table = empty(10);
    table.see(&stream(), guessed(), NOW);
    table.see(&stream(), guessed(), NOW + 9_000);
    assert_eq!(due(&mut table, NOW + 30_000), []);
    table.see(&stream(), guessed(), NOW + 10_000);
    let [report] = &due(&mut table, NOW + 10_000)[..] else { panic!() };
    assert_eq!((report.sign, report.joined_ms), (Sign::Guessed, NOW));
    assert_eq!(table.settle(&stream(), report, None), None, "it is known by name");
}

#[test]
fn what_was_not_taken_is_reported_again_and_told_as_known_here() {
    let mut table = empty(10);
    table.see(&stream(), Sighting { stalls: 4, ..seen("viewer-1", "720p") }, NOW);
    let first = due(&mut table, NOW);
    let known = table.put_back(&stream(), &first[0]).unwrap();
    assert_eq!((known.visit.joined_ms, known.visit.stalls), (NOW, 4));
    let second = due(&mut table, NOW + 1_000);
    assert_eq!(second, first);
    // Others saw it join before.
    let visit = visit(&second[0], NOW - 5_000);
    let known = table.settle(&stream(), &second[0], Some(visit)).unwrap();
    assert_eq!((known.visit.joined_ms, known.watch_ms), (NOW - 5_000, 5_000));
}

#[test]
fn what_a_report_added_is_counted_also_when_the_answer_to_it_was_lost() {
    let mut table = empty(10);
    table.see(&stream(), Sighting { stalls: 4, ..seen("viewer-1", "720p") }, NOW);
    let [first] = &due(&mut table, NOW)[..] else { panic!() };
    table.settle(&stream(), first, Some(visit(first, NOW)));
    let counted = table.take_counted();
    assert_eq!((counted[0].1.buffering_events, counted[0].1.dropped_frames), (2, 3));
    assert_eq!(table.take_counted(), []);

    let next = Sighting { stalls: 6, dropped_frames: 9, ..seen("viewer-1", "480p") };
    table.see(&stream(), next, NOW + 10_000);
    let [lost] = &due(&mut table, NOW + 10_000)[..] else { panic!() };
    table.put_back(&stream(), lost);
    let [again] = &due(&mut table, NOW + 11_000)[..] else { panic!() };
    // The first of both was taken: to Redis nothing is new in the second.
    let rung = again.rendition.clone();
    let same = Visit {
        rung_changes: 1,
        rendition_before: rung,
        new_stalls: 0,
        new_dropped_frames: 0,
        ..visit(again, NOW)
    };
    let known = table.settle(&stream(), again, Some(same)).unwrap();
    let change = (known.visit.rendition_before, known.visit.rung_changes);
    assert_eq!(change, (Some("720p".parse().unwrap()), 1));
    let counted = table.take_counted();
    assert_eq!((counted[0].1.buffering_events, counted[0].1.dropped_frames), (2, 9));
}

#[test]
fn while_nothing_is_taken_a_viewer_is_told_of_as_often_as_it_would_be_reported() {
    let mut table = empty(10);
    let mut told = Vec::new();
    for second in 0..40 {
        let now = NOW + second * 1_000;
        // It watches for 25 s and leaves; its reports are never taken.
        let sign = if second == 25 { Sign::Left } else { Sign::Seen };
        if second <= 25 {
            table.see(&stream(), Sighting { sign, ..seen("viewer-1", "720p") }, now);
        }
        for report in due(&mut table, now) {
            let known = table.put_back(&stream(), &report);
            told.extend(known.map(|known| (second, known.left)));
        }
    }
    assert_eq!(told, [(0, false), (10, false), (20, false), (25, true)]);
}

#[test]
fn what_all_knew_goes_with_the_next_report() {
    let mut table = empty(10);
    table.see(&stream(), seen("viewer-1", "720p"), NOW);
    let [first] = &due(&mut table, NOW)[..] else { panic!() };
    assert_eq!(first.settled, Settled::default());
    let known = Visit { rung_changes: 4, stalls: 7, ..visit(first, NOW) };
    table.settle(&stream(), first, Some(known.clone()));
    table.see(&stream(), seen("viewer-1", "480p"), NOW + 1_000);
    let [second] = &due(&mut table, NOW + 1_000)[..] else { panic!() };
    assert_eq!(second.settled, known.settled());
    // Nor does what is known here alone go back behind it.
    table.put_back(&stream(), second);
    let [again] = &due(&mut table, NOW + 11_000)[..] else { panic!() };
    assert_eq!(again.settled, known.settled());
    table.see(&stream(), seen("viewer-1", "480p"), NOW + 12_000);
    let alone = table.put_back(&stream(), again).unwrap().visit;
    assert_eq!((alone.rung_changes, alone.stalls), (4, 7));
}

#[test]
fn a_players_word_is_bounded() {
    let mut table = empty(10);
    let liar = || Sighting {
        stalls: u32::MAX,
        dropped_frames: u64::MAX,
        watch_ms: Some(u64::MAX),
        ..seen("viewer-1", "720p")
    };
    // However often it says so.
    for ms in 0..=10_000 {
        table.see(&stream(), liar(), NOW + ms);
    }
    let [report] = &due(&mut table, NOW + 10_000)[..] else { panic!() };
    assert_eq!((report.stalls, report.dropped_frames), (25, 120 * 25));
    let known = table.settle(&stream(), report, Some(visit(report, NOW))).unwrap();
    assert_eq!(known.watch_ms, 25_000);
}

#[test]
fn a_full_table_takes_nobody_new_and_forgets_who_is_gone() {
    let mut table = empty(2);
    assert!(table.see(&stream(), seen("viewer-1", "720p"), NOW));
    assert!(table.see(&stream(), seen("viewer-2", "720p"), NOW + 50_000));
    assert!(!table.see(&stream(), seen("viewer-3", "720p"), NOW + 50_000));
    assert!(table.see(&stream(), seen("viewer-1", "480p"), NOW + 50_000));
    table.forget(NOW + 50_000 + IDLE);
    assert_eq!(table.viewers(), 2);
    table.forget(NOW + 50_001 + IDLE);
    assert_eq!(table.viewers(), 0);
}

#[test]
fn one_address_brings_only_so_many_new_viewers_a_minute() {
    let mut table = empty(10);
    let from = |network: &str, n: u32| Sighting {
        network: Some(network.parse().unwrap()),
        ..seen(&format!("{n}-viewer"), "720p")
    };
    for n in 0..4 {
        assert_eq!(table.see(&stream(), from("192.0.2.1", n), NOW), n < 2, "{n}");
    }
    assert!(table.see(&stream(), from("192.0.2.1", 0), NOW), "it is known");
    assert!(table.see(&stream(), from("192.0.2.2", 4), NOW));
    assert!(!table.see(&stream(), from("192.0.2.1", 5), NOW + ARRIVALS - 1));
    assert!(table.see(&stream(), from("192.0.2.1", 5), NOW + ARRIVALS));
    assert_eq!(table.viewers(), 4);
}

#[test]
fn who_leaves_and_was_never_seen_is_no_visit_here() {
    let mut table = empty(10);
    let leaves = || Sighting { sign: Sign::Left, ..seen("viewer-1", "720p") };
    table.see(&stream(), leaves(), NOW);
    let [gone] = &due(&mut table, NOW)[..] else { panic!() };
    assert_eq!((gone.sign, table.put_back(&stream(), gone)), (Sign::Gone, None));
    let [gone] = &due(&mut table, NOW + 1_000)[..] else { panic!() };
    assert_eq!((gone.sign, table.settle(&stream(), gone, None)), (Sign::Gone, None));
    assert_eq!(table.viewers(), 0);
}

#[test]
fn a_new_broadcast_is_a_new_visit() {
    let mut table = empty(10);
    table.see(&stream(), Sighting { stalls: 5, ..seen("viewer-1", "720p") }, NOW);
    let next = BroadcastId(Uuid::max());
    let new = Sighting { broadcast: next, ..seen("viewer-1", "720p") };
    table.see(&stream(), new, NOW + 1_000);
    table.see(&stream(), seen("viewer-1", "720p"), NOW + 2_000);
    let [report] = &due(&mut table, NOW + 2_000)[..] else { panic!() };
    assert_eq!((report.broadcast, report.joined_ms, report.stalls), (next, NOW + 1_000, 0));
}

#[test]
fn a_salt_is_asked_for_once_a_minute_of_streams_that_are_used() {
    let mut table = empty(10);
    assert_eq!(table.salt(&stream(), NOW), None);
    assert_eq!(table.unsalted(NOW), [stream()]);
    table.set_salt(&stream(), "salt", NOW);
    assert_eq!(table.salt(&stream(), NOW).as_deref(), Some("salt"));
    assert_eq!(table.unsalted(NOW + SALT - 1), []);
    assert_eq!(table.unsalted(NOW + SALT), [stream()]);
    table.forget(NOW + IDLE + 1);
    assert_eq!(table.unsalted(NOW + IDLE + 1), []);
}
