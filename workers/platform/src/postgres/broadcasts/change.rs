//! What a notice about a broadcast changes in its row, and what it tells.
//! Pure: row and notice in, new row and events out.

use millrace_media::id::Epoch;

use super::happening::Happening;
use super::{Broadcast, BroadcastStatus as Status};
use crate::kafka::Event;
use crate::kafka::events::data::EventData;

/// What the log says of a broadcast whose row is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice<'a> {
    /// Media of this publisher connection is in the log.
    Active(Epoch),
    /// This publisher connection was lost without an end.
    Interrupted(Epoch),
    /// It is over.
    Ended(&'a str),
    /// It is over, by a fault.
    Failed(&'a str),
}

/// The row as it should be and the events that tell so; none of both when
/// the notice is old. Whether the step is legal is the trigger's to say.
pub(super) fn apply(
    row: &Broadcast,
    notice: Notice<'_>,
    at_ms: i64,
) -> Option<(Broadcast, Vec<Event<EventData>>)> {
    let mut new = row.clone();
    let event = |what, epoch| row.happening(what, epoch, at_ms);
    let latest = row.opened.epoch;
    let events = match notice {
        Notice::Active(epoch) => {
            let first = row.active.is_none();
            let old = !first && row.active >= Some(epoch) && row.status == Status::Active;
            if old {
                return None;
            }
            new.status = Status::Active;
            new.active = row.active.max(Some(epoch));
            let what = if first { Happening::Started } else { Happening::Resumed };
            // Who published before may have gone without a word of it.
            let lost = row.active.filter(|before| row.interrupted < Some(*before));
            new.interrupted = new.interrupted.max(lost);
            let lost = lost.map(|before| event(Happening::Interrupted, before));
            lost.into_iter().chain([event(what, epoch)]).collect()
        }
        Notice::Interrupted(epoch) => {
            // Another is publishing by now, or it never did, or it was said before.
            let old = row.active != Some(epoch) || row.interrupted >= Some(epoch);
            if old || row.status != Status::Active {
                return None;
            }
            new.interrupted = Some(epoch);
            vec![event(Happening::Interrupted, epoch)]
        }
        Notice::Ended(_) if row.status == Status::Ended => return None,
        Notice::Failed(_) if row.status == Status::Error => return None,
        Notice::Ended(reason) => {
            new.status = Status::Ended;
            new.ended_ms = Some(at_ms);
            new.end_reason = Some(reason.to_owned());
            let ended = event(Happening::Ended(reason), latest);
            if row.active.is_some() {
                vec![ended]
            } else {
                new.active = Some(latest);
                vec![row.happening(Happening::Started, latest, row.opened.started_ms), ended]
            }
        }
        Notice::Failed(reason) => {
            new.status = Status::Error;
            new.ended_ms = Some(at_ms);
            new.end_reason = Some(reason.to_owned());
            vec![event(Happening::Failed(reason), latest)]
        }
    };
    Some((new, events))
}

#[cfg(test)]
mod tests {
    use super::super::Opened;
    use super::*;
    use millrace_media::id::BroadcastId;
    use uuid::Uuid;

    fn pending() -> Broadcast {
        let opened = Opened {
            broadcast: BroadcastId(Uuid::from_u128(1)),
            stream: "events.keynote".parse().unwrap(),
            epoch: Epoch(1),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 5,
        };
        let status = Status::PendingIngest;
        Broadcast {
            opened,
            status,
            active: None,
            interrupted: None,
            ended_ms: None,
            end_reason: None,
        }
    }

    fn epoch(data: &EventData) -> u64 {
        serde_json::to_value(data).unwrap()["epoch"].as_u64().unwrap()
    }

    /// What all the notices tell, in order.
    fn tell(row: &mut Broadcast, notices: &[Notice<'_>]) -> Vec<(&'static str, u64)> {
        let mut told = Vec::new();
        for notice in notices {
            if let Some((new, events)) = apply(row, *notice, 9) {
                *row = new;
                told.extend(events.iter().map(|e| (e.kind.as_str(), epoch(&e.data))));
            }
        }
        told
    }

    #[test]
    fn a_life_told_twice_is_one_life() {
        use Notice::{Active, Ended, Interrupted};
        let (one, two) = (Epoch(1), Epoch(2));
        let life = [Active(one), Active(one), Interrupted(one), Interrupted(one), Active(two)];
        let mut row = pending();
        let told = tell(&mut row, &life);
        let names = |told: &[(&'static str, u64)]| -> Vec<_> {
            told.iter().map(|(kind, epoch)| format!("{} {epoch}", &kind[19..])).collect()
        };
        assert_eq!(names(&told), ["Started 1", "Interrupted 1", "Resumed 2"]);
        assert_eq!(tell(&mut row, &life), []);
        row.opened.epoch = two;
        assert_eq!(names(&tell(&mut row, &[Ended("unpublished"), Ended("again")])), ["Ended 2"]);
        assert_eq!(row.end_reason.as_deref(), Some("unpublished"));
    }

    #[test]
    fn an_end_tells_the_start_that_nobody_told() {
        let mut row = pending();
        let told = tell(&mut row, &[Notice::Ended("unpublished")]);
        assert_eq!(
            told.iter().map(|(kind, _)| &kind[19..]).collect::<Vec<_>>(),
            ["Started", "Ended"]
        );
    }

    #[test]
    fn a_publisher_that_was_replaced_did_not_interrupt() {
        let mut row = pending();
        let told = tell(&mut row, &[Notice::Active(Epoch(2)), Notice::Interrupted(Epoch(1))]);
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn one_that_sent_no_picture_interrupts_nothing() {
        use Notice::{Active, Interrupted};
        let mut row = pending();
        let told =
            tell(&mut row, &[Active(Epoch(1)), Interrupted(Epoch(1)), Interrupted(Epoch(2))]);
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn who_comes_back_tells_the_interruption_that_nobody_told() {
        let mut row = pending();
        let told = tell(&mut row, &[Notice::Active(Epoch(1)), Notice::Active(Epoch(3))]);
        let names: Vec<_> =
            told.iter().map(|(kind, epoch)| format!("{} {epoch}", &kind[19..])).collect();
        assert_eq!(names, ["Started 1", "Interrupted 1", "Resumed 3"]);
    }

    #[test]
    fn one_start_has_one_id_in_whichever_epoch_it_is_told() {
        let id = |epoch| {
            let (_, events) = apply(&pending(), Notice::Active(Epoch(epoch)), 9).unwrap();
            events[0].id()
        };
        assert_eq!(id(1), id(2));
    }
}
