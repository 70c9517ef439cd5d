//! Folds that go on from a snapshot.

use super::*;

/// The last keyframe's restart point, of which a fold goes on as this one did.
fn restarts_at_the_last_keyframe(log: &Log) {
    let (events, _) = log.fold();
    let last = events.iter().rposition(|e| matches!(e, Event::Video(v) if v.keyframe)).unwrap();
    let Event::Video(VideoFrame { restart: Some(restart), .. }) = &events[last] else {
        panic!("no reader can start at the last keyframe");
    };
    let snapshot = Snapshot::from_bytes(&restart.snapshot.to_bytes()).unwrap();
    let mut timeline = Timeline::restore(snapshot, SEGMENT, &mut Vec::new());
    let again = log.push_from(usize::try_from(restart.offset).unwrap(), &mut timeline);
    assert!(events.ends_with(&again));
    assert!(again.len() >= events.len() - last);
}

#[test]
fn a_reader_can_start_after_sound_that_ended_with_a_stray() {
    let mut log = Log::default();
    log.open(1).run(0, 25).audio(900_000).pictures(1_000, 125, 1);
    restarts_at_the_last_keyframe(&log);
    // What was stray is remembered: it is no jump sooner, and none later.
    log.audio(905_000).pictures(6_000, 60, 1).end();
    restarts_at_the_last_keyframe(&log);
}

#[test]
fn a_reader_can_start_where_two_pictures_have_each_stamp() {
    let mut log = Log::default();
    log.open(1).pictures(0, 120, 2).end();
    restarts_at_the_last_keyframe(&log);
    let mut log = Log::default();
    log.open(1).run(0, 25).audio(900_000).pictures(1_000, 120, 2).end();
    restarts_at_the_last_keyframe(&log);
}

#[test]
fn a_snapshot_is_small_and_survives_its_bytes() {
    let mut log = Log::default();
    log.open(1).run(0, 60);
    let (events, _) = log.fold();
    let restart = events
        .iter()
        .filter_map(|e| if let Event::Video(v) = e { v.restart.clone() } else { None })
        .next_back()
        .unwrap();
    let bytes = restart.snapshot.to_bytes();
    assert!(bytes.len() < 1_024, "{}", bytes.len());
    assert_eq!(Snapshot::from_bytes(&bytes).unwrap(), restart.snapshot);
}

#[test]
fn a_snapshot_that_nobody_here_wrote_is_refused_or_goes_on_at_once() {
    let mut log = Log::default();
    log.open(1).run(0, 60);
    let mut timeline = Timeline::new(SEGMENT);
    for (offset, record) in log.records.iter().enumerate() {
        timeline.push(i64::try_from(offset).unwrap(), record.clone(), &mut Vec::new());
    }
    let written = String::from_utf8(timeline.snapshot().unwrap().to_bytes()).unwrap();
    let other = |from: &str, to: &str| {
        assert!(written.contains(from), "{written}");
        Snapshot::from_bytes(written.replace(from, to).as_bytes())
    };
    for rate in [i64::MIN, 0, 7_349, 96_001, i64::MAX] {
        let snapshot = other("\"rate\":48000", &format!("\"rate\":{rate}"));
        assert!(matches!(snapshot, Err(SnapshotError::SampleRate)), "{rate}");
    }
    let (_, config) = written.split_once("\"videoConfig\":").unwrap();
    let (config, _) = config.split_once(',').unwrap();
    for wrong in ["null", "\"?\""] {
        let snapshot = other(config, wrong);
        assert!(matches!(snapshot, Err(SnapshotError::NoVideoConfig)), "{snapshot:?}");
    }
    let snapshot = other("\"sourceMs\":0", "\"sourceMs\":-9000000000000000").unwrap();
    let mut events = Vec::new();
    let mut timeline = Timeline::restore(snapshot, SEGMENT, &mut events);
    let before = log.records.len();
    let frames = log.video(2_400).audio(2_420).records.split_off(before);
    for (offset, record) in frames.into_iter().enumerate() {
        timeline.push(i64::try_from(offset).unwrap(), record, &mut events);
    }
    let places = sound(&events);
    assert!(places.len() < 5_000, "{}", places.len());
    assert!(places.windows(2).all(|w| w[1].0 == w[0].0 + 1));
    assert_eq!(places.last().map(|(_, silent)| *silent), Some(false));
}

#[test]
fn a_changed_segment_duration_is_that_of_the_broadcasts_that_begin_after_it() {
    let mut log = Log::default();
    log.open(1).run(0, 60);
    let mut timeline = Timeline::new(SEGMENT);
    log.push_from(0, &mut timeline);
    let snapshot = Snapshot::from_bytes(&timeline.snapshot().unwrap().to_bytes()).unwrap();
    let mut timeline = Timeline::restore(snapshot, Ticks::from_ms(6_000), &mut Vec::new());
    let restored = log.records.len();
    log.open(1).run(0, 5);
    log.end().open(2).run(0, 25).open(2).run(0, 25);
    let events = log.push_from(restored, &mut timeline);
    assert_eq!(bases(&events), [(4_000, 1), (0, 0), (6_000, 1)]);
}

#[test]
fn the_largest_snapshot_fits_in_a_checkpoint() {
    let mut video = VIDEO_CONFIG.to_vec();
    video.resize(5 + crate::avc::AvcConfig::MAX_LEN, 9);
    let mut audio = AUDIO_CONFIG.to_vec();
    audio.resize(crate::flv::AudioTag::MAX_CONFIG, 9);
    let mut log = Log::default();
    log.open(1).config(Track::Video, &video).config(Track::Audio, &audio);
    let late = i64::MAX >> 16;
    log.frame(Track::Video, true, false, late, &[0x17, 1, 0, 0, 0, 9]);
    log.audio(late).audio(1).video(late + 500).video(late + 1_000);
    for _ in 0..10_000 {
        log.video(late + 1_000);
    }
    let mut timeline = Timeline::new(SEGMENT);
    log.push_from(0, &mut timeline);
    // As base64 it is at most 4,096 bytes.
    let bytes = timeline.snapshot().unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("\"strays\":[\"audio\"") && text.contains("\"videoAheadMs\":10000"));
    assert!((2_000..=3_072).contains(&bytes.len()), "{}", bytes.len());
}

#[test]
fn a_snapshot_older_than_the_log_goes_on_at_the_next_boundary() {
    let mut log = Log::default();
    log.open(1).run(0, 60);
    let (events, _) = log.fold();
    let restart = events.iter().rev().find_map(|e| match e {
        Event::Video(v) => v.restart.clone(),
        _ => None,
    });
    let mut out = Vec::new();
    let mut timeline = Timeline::restore_after_loss(restart.unwrap().snapshot, SEGMENT, &mut out);
    assert!(timeline.partial().is_some());
    timeline.go_on_after(Some((Ticks::from_ms(12_100), 0)));
    let gap = log.records.len();
    log.run(90_000, 5);
    for (offset, record) in log.records.iter().enumerate().skip(gap) {
        timeline.push(i64::try_from(offset).unwrap(), record.clone(), &mut out);
    }
    assert_eq!(bases(&out), [(14_000, 1)]);
    assert_eq!(pictures(&out).len(), 5);
}

#[test]
fn a_snapshot_of_a_log_that_was_made_anew_drops_no_record_of_the_new_one() {
    let mut old = Log::default();
    old.open(1).run(0, 10).open(1).run(70, 10).open(1).run(0, 60);
    let mut timeline = Timeline::new(SEGMENT);
    old.push_from(0, &mut timeline);
    let snapshot = timeline.snapshot().unwrap();
    for (broadcast, expected) in [(1, (14_000, 3)), (2, (0, 0))] {
        let mut log = Log { facts: old.facts.clone(), ..Log::default() };
        log.open(broadcast).run(90_000, 5);
        let mut out = Vec::new();
        let mut timeline = Timeline::restore_in_a_new_log(snapshot.clone(), SEGMENT, &mut out);
        timeline.go_on_after(Some((Ticks::from_ms(12_100), 2)));
        out.extend(log.push_from(0, &mut timeline));
        assert_eq!((bases(&out), pictures(&out).len()), (vec![expected], 5));
        assert_eq!(timeline.counters().stale_epoch, 0);
    }
}
