//! A log as ingest writes it, folded.

use bytes::Bytes;
use uuid::Uuid;

use super::*;

mod properties;
mod snapshots;

const SEGMENT: Ticks = Ticks::from_ms(2_000);
const VIDEO_CONFIG: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff];
/// AAC-LC, 48 kHz, stereo.
const AUDIO_CONFIG: &[u8] = &[0xaf, 0, 0x11, 0x90];

/// Writes a log as ingest does.
#[derive(Default)]
struct Log {
    records: Vec<Record>,
    epoch: Epoch,
    facts: Option<Open>,
    sequence: u64,
}

impl Log {
    fn open(&mut self, broadcast: u128) -> &mut Self {
        self.epoch = self.epoch.next();
        let facts = Open {
            broadcast: BroadcastId(Uuid::from_u128(broadcast)),
            nonce: Uuid::from_u128(u128::from(self.epoch.0)),
            key_id: "abcd".parse().unwrap(),
            started_ms: 1,
            resumed: self.facts.as_ref().is_some_and(|f| f.broadcast.0.as_u128() == broadcast),
        };
        self.facts = Some(facts.clone());
        self.push(Body::Open(facts));
        self.config(Track::Video, VIDEO_CONFIG).config(Track::Audio, AUDIO_CONFIG)
    }

    fn push(&mut self, body: Body) -> &mut Self {
        self.records.push(Record { epoch: self.epoch, body });
        self
    }

    fn end(&mut self) -> &mut Self {
        let broadcast = self.facts.as_ref().unwrap().broadcast;
        self.push(Body::End(End { broadcast, reason: EndReason::Unpublished }))
    }

    fn frame(&mut self, track: Track, keyframe: bool, config: bool, time_ms: i64, payload: &[u8]) {
        self.sequence += 1;
        let frame = Frame {
            track,
            keyframe,
            config,
            repeated: false,
            sequence: self.sequence,
            time_ms,
            composition_ms: 0,
            arrival_ms: 1_000_000 + time_ms,
            payload: Bytes::copy_from_slice(payload),
        };
        self.push(Body::Frame(frame));
    }

    fn config(&mut self, track: Track, payload: &[u8]) -> &mut Self {
        self.frame(track, false, true, 0, payload);
        self
    }

    fn key(&mut self, time_ms: i64) -> &mut Self {
        let facts = self.facts.clone().unwrap();
        self.push(Body::Facts(facts));
        self.config(Track::Video, VIDEO_CONFIG).config(Track::Audio, AUDIO_CONFIG);
        self.frame(Track::Video, true, false, time_ms, &[0x17, 1, 0, 0, 0, 9]);
        self
    }

    fn video(&mut self, time_ms: i64) -> &mut Self {
        self.frame(Track::Video, false, false, time_ms, &[0x27, 1, 0, 0, 0, 9]);
        self
    }

    /// The picture with this number, a keyframe each second.
    fn picture(&mut self, n: i64, time_ms: i64) -> &mut Self {
        if n % 25 == 0 { self.key(time_ms) } else { self.video(time_ms) }
    }

    /// `count` pictures 40 ms apart, a keyframe each second, no sound; each
    /// stamp is that of `each` of them.
    fn pictures(&mut self, from_ms: i64, count: i64, each: i64) -> &mut Self {
        for n in 0..count {
            self.picture(n, from_ms + 40 * (n / each));
        }
        self
    }

    fn audio(&mut self, time_ms: i64) -> &mut Self {
        self.frame(Track::Audio, false, false, time_ms, &[0xaf, 1, 7]);
        self
    }

    /// `count` pictures 40 ms apart, a keyframe each second, with sound whose
    /// stamps differ by `offset_ms`.
    fn apart(&mut self, from_ms: i64, count: i64, offset_ms: i64) -> &mut Self {
        for n in 0..count {
            let time = from_ms + 40 * n;
            self.picture(n, time);
            self.audio(time + offset_ms);
        }
        self
    }

    /// `count` pictures 40 ms apart, a keyframe each second, with sound.
    fn run(&mut self, from_ms: i64, count: i64) -> &mut Self {
        let mut sound = 0;
        for n in 0..count {
            let time = from_ms + 40 * n;
            self.picture(n, time);
            while sound * 1024 / 48 < 40 * (n + 1) {
                self.audio(from_ms + sound * 1024 / 48);
                sound += 1;
            }
        }
        self
    }

    fn fold(&self) -> (Vec<Event>, Counters) {
        let mut timeline = Timeline::new(SEGMENT);
        let out = self.push_from(0, &mut timeline);
        (out, timeline.counters())
    }

    /// What follows from the records from `offset` on.
    fn push_from(&self, offset: usize, timeline: &mut Timeline) -> Vec<Event> {
        let mut out = Vec::new();
        for (offset, record) in self.records.iter().enumerate().skip(offset) {
            timeline.push(i64::try_from(offset).unwrap(), record.clone(), &mut out);
        }
        out
    }
}

fn pictures(events: &[Event]) -> Vec<i64> {
    events
        .iter()
        .filter_map(|e| if let Event::Video(v) = e { Some(v.dts.as_ms()) } else { None })
        .collect()
}

fn sound(events: &[Event]) -> Vec<(i64, bool)> {
    let silent = |a: &AudioFrame| a.data == AudioData::Silence;
    events
        .iter()
        .filter_map(|e| if let Event::Audio(a) = e { Some((a.index, silent(a))) } else { None })
        .collect()
}

fn bases(events: &[Event]) -> Vec<(i64, u32)> {
    events
        .iter()
        .filter_map(|e| match e {
            Event::Base(b) => Some((b.at.as_ms(), b.discontinuities)),
            _ => None,
        })
        .collect()
}

#[test]
fn the_timeline_begins_at_the_first_keyframe_and_keeps_every_frame() {
    let mut log = Log::default();
    log.open(1).run(5_000, 50);
    let (events, counters) = log.fold();
    assert_eq!(pictures(&events), (0..50).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!(bases(&events), [(0, 0)]);
    let indexes: Vec<_> = sound(&events).iter().map(|(i, _)| *i).collect();
    assert_eq!(indexes, (0..i64::try_from(indexes.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(counters, Counters::default());
}

#[test]
fn a_new_epoch_opens_at_the_next_boundary_as_a_discontinuity() {
    let mut log = Log::default();
    log.open(1).run(0, 60).open(1).run(70, 10);
    let (events, _) = log.fold();
    assert_eq!(bases(&events), [(0, 0), (4_000, 1)]);
    assert_eq!(pictures(&events).get(60), Some(&4_000));
}

#[test]
fn a_base_that_ends_on_a_boundary_is_followed_there() {
    let mut log = Log::default();
    log.open(1).config(Track::Audio, AUDIO_CONFIG);
    for n in 0..50 {
        if n == 0 {
            log.key(0)
        } else {
            log.video(40 * n)
        };
    }
    log.open(1).key(9);
    assert_eq!(bases(&log.fold().0), [(0, 0), (2_000, 1)]);
}

#[test]
fn a_base_follows_the_last_segment_that_has_a_frame_and_sound_reaches_as_far_as_pictures() {
    let mut log = Log::default();
    // The last picture is the first of its segment, and no sound came with it.
    log.open(1).run(0, 50);
    for n in 50..52 {
        log.video(40 * n);
    }
    log.open(1).run(0, 5);
    let (events, _) = log.fold();
    assert_eq!(bases(&events), [(0, 0), (4_000, 1)]);
    let first_base_sound = events.iter().take_while(|e| !matches!(e, Event::Publisher(Epoch(2))));
    let last =
        first_base_sound.filter_map(|e| if let Event::Audio(a) = e { Some(a) } else { None });
    let last = last.last().unwrap();
    let start_ms = last.index * 1_024 / 48;
    assert!(last.data == AudioData::Silence && (2_020..=2_040).contains(&start_ms), "{start_ms}");
}

#[test]
fn a_segment_of_one_picture_has_sound_though_that_begins_on_neither_side_of_it() {
    let mut log = Log::default();
    // The keyframe at 2 s was the last that came. Places of the grid begin at 1.984 and 2.005 s.
    log.open(1).run(0, 50).key(2_000).end();
    let (events, _) = log.fold();
    assert_eq!(pictures(&events).last(), Some(&2_000));
    assert_eq!(sound(&events).last(), Some(&(94, true)));
}

#[test]
fn sound_that_reaches_over_the_boundary_does_not_push_the_next_base_away() {
    let mut log = Log::default();
    // The last sound begins before the boundary at 2 s and ends after it.
    log.open(1).run(0, 50).open(1).run(0, 5);
    let (events, _) = log.fold();
    assert_eq!(bases(&events), [(0, 0), (2_000, 1)]);
    let sound: Vec<_> = sound(&events).into_iter().map(|(index, _)| index).collect();
    assert!(sound.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sound:?}");
}

#[test]
fn sound_of_another_rate_is_left_out_and_silence_stands_in_for_it() {
    /// AAC-LC, 44.1 kHz, stereo.
    const OTHER: &[u8] = &[0xaf, 0, 0x12, 0x10];
    let mut log = Log::default();
    log.open(1).run(0, 25).open(1);
    for n in 0..50 {
        if n % 25 == 0 {
            log.key(40 * n);
        } else {
            log.video(40 * n);
        }
        log.config(Track::Audio, OTHER).audio(40 * n);
    }
    let (events, counters) = log.fold();
    assert_eq!(bases(&events), [(0, 0), (2_000, 1)]);
    let after = sound(&events).into_iter().filter(|(index, _)| index * 1_024 / 48 >= 2_000);
    let after: Vec<_> = after.collect();
    assert!(after.len() > 30 && after.iter().all(|(_, silent)| *silent), "{after:?}");
    assert!(counters.foreign_audio >= 48, "{counters:?}");
}

#[test]
fn sound_of_960_samples_a_frame_is_left_out_and_silence_stands_in_where_there_was_sound() {
    /// AAC-LC, 48 kHz, stereo, frameLengthFlag set.
    const SHORT_FRAMES: &[u8] = &[0xaf, 0, 0x11, 0x94];
    let second = |log: &mut Log, from_ms: i64| {
        for n in 0..25 {
            let time = from_ms + 40 * n;
            if n == 0 {
                log.key(time)
            } else {
                log.video(time)
            };
            log.config(Track::Audio, SHORT_FRAMES).audio(time).audio(time + 20);
        }
    };
    let mut log = Log::default();
    log.open(1);
    log.records.pop(); // the sound's configuration
    log.config(Track::Audio, SHORT_FRAMES);
    log.frame(Track::Video, true, false, 0, &[0x17, 1, 0, 0, 0, 9]);
    log.video(40).audio(40).audio(60).video(80).end();
    let (events, counters) = log.fold();
    assert_eq!((pictures(&events).len(), sound(&events).len()), (3, 0));
    assert_eq!(counters.silence, 0);

    let mut log = Log::default();
    log.open(1).run(0, 25);
    second(&mut log, 1_000);
    second(&mut log, 2_000);
    log.end();
    let (events, counters) = log.fold();
    let places = sound(&events);
    assert!(places.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{places:?}");
    assert!(places.iter().skip(48).all(|(_, silent)| *silent), "{places:?}");
    assert!(places.last().unwrap().0 * 1_024 / 48 > 2_900, "{places:?}");
    assert!(counters.foreign_audio > 90, "{counters:?}");
    assert_eq!(bases(&events).len(), 1);
}

#[test]
fn records_of_a_fenced_epoch_are_dropped() {
    let mut log = Log::default();
    log.open(1).run(0, 10);
    let late = log.records.last().unwrap().clone();
    log.open(1).run(0, 5);
    log.records.push(late);
    let (events, counters) = log.fold();
    assert_eq!(pictures(&events).len(), 15);
    assert_eq!(counters.stale_epoch, 1);
}

#[test]
fn the_first_open_of_an_epoch_wins() {
    let mut log = Log::default();
    log.open(1).run(0, 5);
    let mut loser = log.facts.clone().unwrap();
    loser.nonce = Uuid::from_u128(99);
    loser.broadcast = BroadcastId(Uuid::from_u128(2));
    log.push(Body::Open(loser)).video(200);
    let (events, _) = log.fold();
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Started(_))).count(), 1);
    assert_eq!(pictures(&events).len(), 6);
}

#[test]
fn an_ended_broadcast_is_followed_by_a_new_timeline() {
    let mut log = Log::default();
    log.open(1).run(0, 60).end().open(2).run(9_000, 5);
    let (events, _) = log.fold();
    assert_eq!(bases(&events), [(0, 0), (0, 0)]);
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Ended(_))).count(), 1);
}

#[test]
fn a_jump_of_both_tracks_is_a_discontinuity() {
    for to in [100_000, 0] {
        let mut log = Log::default();
        log.open(1).run(50_000, 60).run(to, 60);
        let (events, counters) = log.fold();
        assert_eq!(bases(&events), [(0, 0), (4_000, 1)], "jump to {to}");
        assert_eq!(pictures(&events).len(), 120, "jump to {to}: {counters:?}");
    }
}

#[test]
fn a_jump_of_a_silent_source_is_a_discontinuity() {
    let mut log = Log::default();
    log.open(1).key(0);
    for n in 1..50 {
        log.video(40 * n);
    }
    log.key(90_000);
    for n in 1..50 {
        log.video(90_000 + 40 * n);
    }
    let (events, _) = log.fold();
    assert_eq!(bases(&events), [(0, 0), (2_000, 1)]);
    assert_eq!(pictures(&events).len(), 100);
}

#[test]
fn pictures_of_a_clock_that_stands_still_follow_each_other_and_none_is_lost() {
    let mut log = Log::default();
    log.open(1).run(0, 25);
    for n in 0..20 {
        if n == 10 {
            log.key(1_000);
        } else {
            log.video(1_000);
        }
        log.audio(1_003);
    }
    // It goes on where it stood, not yet past what was put after it.
    log.video(1_010).video(1_040).end();
    let (events, counters) = log.fold();
    let pictures = pictures(&events);
    assert_eq!(pictures.len(), 47);
    assert_eq!(pictures[24..], [vec![960], (1_000..=1_020).collect(), vec![1_040]].concat());
    assert_eq!((bases(&events).len(), counters.stray), (1, 0));
}

#[test]
fn a_stray_time_of_one_track_is_dropped_and_the_stream_goes_on() {
    let mut log = Log::default();
    log.open(1).run(0, 25).audio(900_000);
    for n in 25..60 {
        log.video(40 * n);
    }
    let (events, counters) = log.fold();
    assert_eq!(bases(&events).len(), 1);
    assert_eq!(pictures(&events).len(), 60);
    assert_eq!(counters.stray, 1);
}

#[test]
fn sound_that_is_behind_its_pictures_or_far_ahead_costs_no_picture() {
    for offset in [6_000, -1_500] {
        let mut log = Log::default();
        log.open(1).apart(0, 250, offset);
        let (events, counters) = log.fold();
        assert_eq!((bases(&events).len(), pictures(&events).len()), (1, 250), "{offset}");
        assert_eq!(counters.stray, 250, "{offset}");
        let starts = events.iter().filter(|e| matches!(e, Event::Video(v) if v.restart.is_some()));
        assert_eq!(starts.count(), 10, "a reader can start at each keyframe ({offset})");
        assert!(sound(&events).iter().all(|(_, silent)| *silent), "{offset}");
    }
}

#[test]
fn sound_that_is_ahead_of_its_pictures_plays_once_they_have_come_to_it() {
    let mut log = Log::default();
    log.open(1).apart(0, 250, 1_500);
    let (events, _) = log.fold();
    let played = sound(&events).iter().filter(|(_, silent)| !*silent).count();
    assert!(played > 150, "{played} frames of 250");
    assert!(pictures(&events).len() > 220 && bases(&events).len() < 4, "{:?}", bases(&events));
}

#[test]
fn sound_that_is_right_again_after_a_stray_leaves_no_trace() {
    let mut log = Log::default();
    log.open(1).run(0, 25).audio(3_100);
    // Silence long enough for the stray to be given up, then sound again.
    for n in 25..50 {
        log.video(40 * n);
    }
    log.run(2_000, 100);
    let (events, counters) = log.fold();
    assert_eq!((bases(&events).len(), counters.stray), (1, 1));
    let last = events.iter().rev().find_map(|e| match e {
        Event::Video(v) if v.keyframe => Some(v),
        _ => None,
    });
    assert!(last.unwrap().restart.is_some(), "a reader can start at the last keyframe");
}

#[test]
fn a_gap_in_the_sound_is_filled_with_silence() {
    let mut log = Log::default();
    log.open(1).run(0, 25);
    for n in 25..100 {
        log.picture(n, 40 * n);
    }
    log.audio(4_000);
    let (events, counters) = log.fold();
    let sound = sound(&events);
    let indexes: Vec<_> = sound.iter().map(|(i, _)| *i).collect();
    assert!(indexes.windows(2).all(|w| w[1] == w[0] + 1), "{indexes:?}");
    assert_eq!(sound.iter().filter(|(_, silent)| *silent).count() as u64, counters.silence);
    assert!(counters.silence > 100, "{counters:?}");
    assert_eq!(bases(&events).len(), 1);
}

#[test]
fn a_gap_in_the_pictures_while_sound_runs_is_no_jump() {
    let mut log = Log::default();
    log.open(1).run(0, 25);
    for n in 47..188 {
        log.audio(n * 1024 / 48);
    }
    log.key(4_000).video(4_040);
    let (events, _) = log.fold();
    assert_eq!(bases(&events).len(), 1);
    assert_eq!(pictures(&events).last(), Some(&4_040));
}

#[test]
fn a_drifting_clock_costs_a_frame_now_and_then_but_never_the_grid() {
    let mut log = Log::default();
    log.open(1);
    // Sound 1 % slow: 1,024 samples take 21.55 ms.
    let mut n = 0_i64;
    for picture in 0..1_000 {
        let time = picture * 40;
        log.picture(picture, time);
        while n * 2_155 / 100 < time + 40 {
            log.audio(n * 2_155 / 100);
            n += 1;
        }
    }
    let (events, counters) = log.fold();
    let indexes: Vec<_> = sound(&events).iter().map(|(i, _)| *i).collect();
    assert!(indexes.windows(2).all(|w| w[1] == w[0] + 1));
    assert!((5..30).contains(&counters.silence), "{counters:?}");
}

#[test]
fn a_configuration_of_pictures_is_never_taken_for_one_of_sound() {
    let mut log = Log::default();
    log.open(1).run(0, 25);
    let mut timeline = Timeline::new(SEGMENT);
    log.push_from(0, &mut timeline);
    timeline.broadcast.as_mut().unwrap().video_config = None;
    let before = log.records.len();
    log.config(Track::Video, VIDEO_CONFIG).run(1_000, 25);
    let events = log.push_from(before, &mut timeline);
    let taken = |e: &Event| matches!(e, Event::AudioConfig(body) if body == VIDEO_CONFIG);
    assert!(!events.iter().any(taken));
    assert_eq!(bases(&events), [(2_000, 1)]);
    assert!(sound(&events).iter().any(|(_, silent)| !silent));
}

#[test]
fn sound_that_joins_after_an_hour_brings_no_hour_of_silence() {
    let mut log = Log::default();
    log.open(1);
    log.records.pop(); // the sound's configuration
    for second in 0..3_600 {
        log.frame(Track::Video, true, false, second * 1_000, &[0x17, 1, 0, 0, 0, 9]);
    }
    log.config(Track::Audio, AUDIO_CONFIG).audio(3_599_100).video(3_599_140).audio(3_599_121);
    let (events, counters) = log.fold();
    let places = sound(&events);
    assert_eq!(counters.silence, 4_096);
    assert_eq!(places.len(), 4_096 + 2);
    assert!(places.windows(2).all(|w| w[1].0 == w[0].0 + 1));
    assert!(places.iter().rev().take(2).all(|(_, silent)| !silent));
}

#[test]
fn a_fold_that_begins_in_the_middle_goes_on_after_what_was_published() {
    let mut log = Log::default();
    log.open(1).run(0, 60).run(2_400, 40);
    // Retention took all but the second keyframe and what follows.
    let facts = |r: &Record| matches!(r.body, Body::Facts(_));
    let from = log.records.iter().rposition(facts).unwrap();
    let mut timeline = Timeline::new(SEGMENT);
    let mut events = Vec::new();
    for (offset, record) in log.records.iter().enumerate().skip(from) {
        timeline.push(i64::try_from(offset).unwrap(), record.clone(), &mut events);
        if timeline.partial().is_some() {
            timeline.go_on_after(Some((Ticks::from_ms(7_300), 2)));
        }
    }
    assert_eq!(bases(&events), [(8_000, 3)]);
    assert_eq!(pictures(&events).first(), Some(&8_000));
}

#[test]
fn a_broadcast_of_which_nothing_was_published_begins_at_zero_wherever_it_is_found() {
    let mut log = Log::default();
    log.open(1).run(0, 10).open(1).run(70, 10);
    let reopened = |r: &Record| matches!(&r.body, Body::Open(open) if open.resumed);
    let from = log.records.iter().position(reopened).unwrap();
    let mut timeline = Timeline::new(SEGMENT);
    let mut events = Vec::new();
    for (offset, record) in log.records.iter().enumerate().skip(from) {
        timeline.push(i64::try_from(offset).unwrap(), record.clone(), &mut events);
        assert_eq!(timeline.partial().is_some(), offset == from);
        timeline.go_on_after(None);
    }
    assert_eq!(bases(&events), [(0, 0)]);
}

#[test]
fn a_picture_that_would_be_presented_a_day_later_is_left_out() {
    let mut log = Log::default();
    log.open(1).run(0, 25);
    log.video(1_000);
    let Body::Frame(frame) = &mut log.records.last_mut().unwrap().body else { unreachable!() };
    frame.composition_ms = 86_400_000;
    log.video(1_040).end();
    let (events, counters) = log.fold();
    assert_eq!((pictures(&events).len(), counters.stray), (26, 1));
    assert!(sound(&events).len() < 60, "{} frames of sound", sound(&events).len());
}
