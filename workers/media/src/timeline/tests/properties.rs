//! What holds of any log.

use proptest::prelude::*;

use super::*;

/// One thing a publisher may do.
#[derive(Debug, Clone)]
enum Act {
    Run {
        from_ms: i64,
        count: i64,
    },
    Epoch,
    Broadcast,
    LoneVideo(i64),
    LoneAudio(i64),
    Still {
        at: i64,
        count: u32,
    },
    Apart {
        from_ms: i64,
        count: i64,
        offset_ms: i64,
    },
    /// Sound may have ended with a stray.
    Pictures {
        from_ms: i64,
        count: i64,
        each: i64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_i64..20_000, 1_i64..80).prop_map(|(from_ms, count)| Act::Run { from_ms, count }),
        1 => Just(Act::Epoch),
        1 => Just(Act::Broadcast),
        1 => (0_i64..30_000).prop_map(Act::LoneVideo),
        1 => (0_i64..30_000).prop_map(Act::LoneAudio),
        1 => (0_i64..20_000, 1_u32..40).prop_map(|(at, count)| Act::Still { at, count }),
        1 => (0_i64..20_000, 1_i64..80, -3_000_i64..3_000)
            .prop_map(|(from_ms, count, offset_ms)| Act::Apart { from_ms, count, offset_ms }),
        2 => (0_i64..20_000, 1_i64..150, 1_i64..4)
            .prop_map(|(from_ms, count, each)| Act::Pictures { from_ms, count, each }),
    ]
}

fn write(acts: &[Act]) -> Log {
    let mut log = Log::default();
    let mut broadcast = 1;
    log.open(broadcast);
    for act in acts {
        match act {
            Act::Run { from_ms, count } => log.run(*from_ms, *count),
            Act::Epoch => log.open(broadcast),
            Act::Broadcast => {
                broadcast += 1;
                log.end().open(broadcast)
            }
            Act::LoneVideo(at) => log.video(*at),
            Act::LoneAudio(at) => log.audio(*at),
            Act::Apart { from_ms, count, offset_ms } => log.apart(*from_ms, *count, *offset_ms),
            Act::Pictures { from_ms, count, each } => log.pictures(*from_ms, *count, *each),
            Act::Still { at, count } => {
                for n in 0..*count {
                    if n % 10 == 5 { log.key(*at) } else { log.video(*at) }.audio(*at);
                }
                &mut log
            }
        };
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn time_only_grows_and_bases_lie_on_boundaries(acts in prop::collection::vec(act(), 1..12)) {
        let (events, _) = write(&acts).fold();
        let (mut picture, mut index, mut base) = (None, None, None);
        for event in &events {
            match event {
                Event::Started(_) => (picture, index, base) = (None, None, None),
                Event::Base(b) => {
                    prop_assert_eq!(b.at.0 % SEGMENT.0, 0);
                    prop_assert!(picture.is_none_or(|p| b.at > p));
                    prop_assert!(base.is_none_or(|d: u32| b.discontinuities == d + 1));
                    base = Some(b.discontinuities);
                }
                Event::Video(v) => {
                    prop_assert!(picture.is_none_or(|p| v.dts > p), "{:?} after {:?}", v.dts, picture);
                    picture = Some(v.dts);
                }
                Event::Audio(a) => {
                    prop_assert!(index.is_none_or(|i| a.index > i));
                    index = Some(a.index);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn the_last_segment_of_a_base_that_has_a_picture_has_sound(
        acts in prop::collection::vec(act(), 1..12),
    ) {
        let (events, _) = write(&acts).end().fold();
        let (mut picture, mut place) = (None, None);
        for event in &events {
            match event {
                Event::Base(_) | Event::Ended(_) => {
                    let of_place = |index: i64| Ticks::from_units(index * 1_024, 48_000).0;
                    let segment = |at: i64| at.div_euclid(SEGMENT.0);
                    let (last, reached): (Option<Ticks>, _) = (picture.take(), place.map(of_place));
                    prop_assert!(
                        last.is_none_or(|p| reached.is_some_and(|r| segment(r) >= segment(p.0))),
                        "pictures until {:?}, sound until {:?}", last, reached
                    );
                }
                Event::Started(_) => place = None,
                Event::Video(v) => picture = picture.max(Some(v.pts)),
                Event::Audio(a) => place = Some(a.index),
                _ => {}
            }
        }
    }

    #[test]
    fn a_fold_from_any_restart_point_goes_on_as_the_first_did(
        acts in prop::collection::vec(act(), 1..12),
    ) {
        let log = write(&acts);
        let mut whole = Timeline::new(SEGMENT);
        let mut events = Vec::new();
        let mut marks = Vec::new();
        for (offset, record) in log.records.iter().enumerate() {
            marks.push(events.len());
            whole.push(i64::try_from(offset).unwrap(), record.clone(), &mut events);
        }
        let restarts: Vec<_> = events
            .iter()
            .filter_map(|e| if let Event::Video(v) = e { v.restart.clone() } else { None })
            .collect();
        for restart in restarts {
            let mut again = Vec::new();
            let mut timeline = Timeline::restore(restart.snapshot, SEGMENT, &mut Vec::new());
            let from = usize::try_from(restart.offset).unwrap();
            for (offset, record) in log.records.iter().enumerate().skip(from) {
                timeline.push(i64::try_from(offset).unwrap(), record.clone(), &mut again);
            }
            prop_assert_eq!(&again[..], &events[marks[from]..]);
        }
    }
}
