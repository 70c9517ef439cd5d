//! The fold over any records, from any state.

use millrace_media::record::Reassembler;
use millrace_media::time::Ticks;
use millrace_media::timeline::{Event, Snapshot, Timeline};

use crate::wire::messages;

const SEGMENT: Ticks = Ticks::from_ms(2_000);

/// The timeline never goes back, and goes on from its snapshot as it would have.
pub(crate) fn records(data: &[u8]) {
    let mut reader = Reassembler::default();
    let mut timeline = Timeline::new(SEGMENT);
    let mut twin: Option<(Timeline, Vec<Event>)> = None;
    let mut all = Vec::new();
    for (offset, message) in (0..).zip(messages(data)) {
        let Ok(Some((begins, record))) = reader.push_at(offset, &message) else { continue };
        let mut events = Vec::new();
        timeline.push(begins, record.clone(), &mut events);
        if let Some((twin, said)) = &mut twin {
            twin.push(begins, record, said);
            let told = said.drain(..).map(without_restart);
            let events: Vec<_> = events.iter().cloned().map(without_restart).collect();
            assert_eq!(told.collect::<Vec<_>>(), events, "another fold from a snapshot");
        } else if let Some(snapshot) = timeline.snapshot() {
            let read = Snapshot::from_bytes(&snapshot.to_bytes()).expect("its own snapshot");
            assert_eq!(read, snapshot);
            twin = Some((Timeline::restore(read, SEGMENT, &mut Vec::new()), Vec::new()));
        }
        all.append(&mut events);
    }
    never_back(&all);
}

/// A state that somebody else wrote, and records after it.
pub(crate) fn snapshot(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (state, rest) = data.split_at(end);
    let Ok(snapshot) = Snapshot::from_bytes(state) else { return };
    let again = Snapshot::from_bytes(&snapshot.to_bytes()).expect("its own snapshot");
    assert_eq!(again, snapshot);
    let _ = (snapshot.broadcast(), snapshot.audio_resumes_at());
    let restores =
        [Timeline::restore, Timeline::restore_after_loss, Timeline::restore_in_a_new_log];
    for restore in restores {
        let (mut reader, mut events) = (Reassembler::default(), Vec::new());
        let mut timeline = restore(again.clone(), SEGMENT, &mut events);
        timeline.go_on_after(None);
        for (offset, message) in (0..).zip(messages(rest.get(1..).unwrap_or_default())) {
            if let Ok(Some((begins, record))) = reader.push_at(offset, &message) {
                timeline.push(begins, record, &mut events);
            }
        }
    }
}

/// A reader from a snapshot on does not know where others could have begun.
fn without_restart(mut event: Event) -> Event {
    if let Event::Video(frame) = &mut event {
        frame.restart = None;
    }
    event
}

fn never_back(events: &[Event]) {
    let (mut base, mut sound) = (None, None);
    for event in events {
        match event {
            Event::Started(_) => (base, sound) = (None, None),
            Event::Base(next) => {
                assert!(base.is_none_or(|at| at < next.at), "a base before the last");
                assert_eq!(next.at.0 % SEGMENT.0, 0, "a base beside the grid");
                base = Some(next.at);
            }
            Event::Video(frame) => assert!(base.is_some_and(|at| at <= frame.pts)),
            Event::Audio(frame) => {
                assert!(sound < Some(frame.index), "sound goes back");
                sound = Some(frame.index);
            }
            _ => {}
        }
    }
}
