//! What the log says about who publishes: a fold over its control records.
//!
//! The same rules as the timeline's (DESIGN: the log is the authority): the
//! first `open` of an epoch wins, a lower epoch is void, `end` closes the
//! broadcast it names and an `open` that names an ended one is void.

use millrace_media::id::Epoch;
use millrace_media::record::{Body, EndReason, Open, Record, Track};

/// A broadcast that the log says is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The publisher connection that was its last.
    pub epoch: Epoch,
    /// What it was.
    pub facts: Open,
    /// Why it ended.
    pub reason: EndReason,
    /// When the log took its end, ms since 1970.
    pub at_ms: i64,
    /// Whether it ever had a picture.
    pub pictured: bool,
}

/// The control state after some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    epoch: Option<Epoch>,
    open: Option<Open>,
    /// The open broadcast had a picture.
    pictured: bool,
    closed: Option<Closed>,
}

impl Control {
    /// Folds the next record, which the log took at `at_ms`.
    pub fn push(&mut self, record: &Record, at_ms: i64) {
        let newer = self.epoch.is_none_or(|epoch| record.epoch > epoch);
        let current = self.epoch == Some(record.epoch);
        match &record.body {
            Body::Open(open) | Body::Facts(open) if newer => {
                if self.closed.as_ref().is_none_or(|c| c.facts.broadcast != open.broadcast) {
                    // Facts stand before a later keyframe. Of a beginning that
                    // was not seen the better is assumed.
                    let goes_on = self.open.as_ref().map(|o| o.broadcast == open.broadcast);
                    let before = if goes_on == Some(true) { self.pictured } else { open.resumed };
                    self.pictured = before || matches!(record.body, Body::Facts(_));
                    self.open = Some(open.clone());
                }
                self.epoch = Some(record.epoch);
            }
            Body::End(_) if !newer && !current => {}
            Body::End(end) => {
                if let Some(facts) = self.open.take_if(|open| open.broadcast == end.broadcast) {
                    let (epoch, reason, pictured) = (record.epoch, end.reason, self.pictured);
                    self.closed = Some(Closed { epoch, facts, reason, at_ms, pictured });
                }
                if newer {
                    self.epoch = Some(record.epoch);
                }
            }
            Body::Frame(frame) if current => {
                self.pictured |= frame.track == Track::Video && !frame.config;
            }
            Body::Facts(_) if current => self.pictured = true,
            Body::Open(_) | Body::Facts(_) | Body::Frame(_) => {}
        }
    }

    /// The broadcast that waits for its publisher or has one.
    pub fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Whether the open broadcast had a picture.
    pub fn pictured(&self) -> bool {
        self.open.is_some() && self.pictured
    }

    /// The last broadcast that ended.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// The highest epoch seen.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// Whether any control record was seen.
    pub fn is_known(&self) -> bool {
        self.epoch.is_some()
    }

    /// The epoch of the next publisher, for a log that ends at `end_offset`.
    ///
    /// A log whose records have all expired must not number from the start
    /// again. Every epoch has cost a record, so none is above the offset that
    /// the log has reached.
    pub fn next_epoch(&self, end_offset: i64) -> Epoch {
        match self.epoch {
            Some(epoch) => epoch.next(),
            None => Epoch(u64::try_from(end_offset).unwrap_or_default()).next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use millrace_media::id::BroadcastId;
    use millrace_media::record::{End, Frame};
    use uuid::Uuid;

    fn facts(broadcast: u128, nonce: u128) -> Open {
        Open {
            broadcast: BroadcastId(Uuid::from_u128(broadcast)),
            nonce: Uuid::from_u128(nonce),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 5,
            resumed: false,
        }
    }

    fn fold(records: &[(u64, Body)]) -> Control {
        let mut control = Control::default();
        for (epoch, body) in records {
            control.push(&Record { epoch: Epoch(*epoch), body: body.clone() }, 9);
        }
        control
    }

    fn end(broadcast: u128) -> Body {
        let broadcast = BroadcastId(Uuid::from_u128(broadcast));
        Body::End(End { broadcast, reason: EndReason::Unpublished })
    }

    #[test]
    fn the_first_open_of_an_epoch_wins() {
        let control = fold(&[(4, Body::Open(facts(1, 10))), (4, Body::Open(facts(2, 20)))]);
        assert_eq!(control.open(), Some(&facts(1, 10)));
        assert_eq!(control.next_epoch(100), Epoch(5));
    }

    #[test]
    fn facts_in_the_middle_of_a_log_stand_for_their_open() {
        assert_eq!(fold(&[(7, Body::Facts(facts(1, 10)))]).open(), Some(&facts(1, 10)));
    }

    #[test]
    fn an_end_closes_the_broadcast_it_names_and_no_other() {
        let open = (4, Body::Open(facts(1, 10)));
        let ended = fold(&[open.clone(), (4, end(1))]);
        assert_eq!(ended.open(), None);
        let (epoch, facts, reason) = (Epoch(4), facts(1, 10), EndReason::Unpublished);
        let closed = Closed { epoch, facts, reason, at_ms: 9, pictured: false };
        assert_eq!(ended.closed(), Some(&closed));
        assert!(fold(&[open.clone(), (4, end(2))]).open().is_some());
        let late = (5, Body::Open(self::facts(1, 11)));
        assert_eq!(fold(&[open.clone(), (4, end(1)), late.clone()]).open(), None);
        // Of a publisher who has been fenced.
        assert_eq!(fold(&[open, late, (4, end(1))]).open(), Some(&self::facts(1, 11)));
    }

    fn frame(track: Track, config: bool) -> Body {
        Body::Frame(Frame {
            track,
            keyframe: false,
            config,
            repeated: false,
            sequence: 0,
            time_ms: 0,
            composition_ms: 0,
            arrival_ms: 0,
            payload: Bytes::new(),
        })
    }

    #[test]
    fn a_broadcast_had_a_picture_when_the_log_says_so_or_its_beginning_is_gone() {
        let silent = vec![
            (4, Body::Open(facts(1, 10))),
            (4, frame(Track::Video, true)),
            (4, frame(Track::Audio, false)),
            (3, frame(Track::Video, false)),
            (5, Body::Open(Open { resumed: true, ..facts(1, 11) })),
        ];
        assert!(!fold(&silent).pictured());
        let mut ended = silent.clone();
        ended.push((5, end(1)));
        assert!(!fold(&ended).closed().unwrap().pictured);
        for picture in [frame(Track::Video, false), Body::Facts(facts(1, 11))] {
            let mut all = silent.clone();
            all.extend([(5, picture), (6, Body::Open(Open { resumed: true, ..facts(1, 12) }))]);
            assert!(fold(&all).pictured());
            all.push((6, end(1)));
            assert!(fold(&all).closed().unwrap().pictured);
            // And the next one begins without.
            all.push((7, Body::Open(facts(2, 20))));
            assert!(!fold(&all).pictured());
        }
        assert!(fold(&[(5, Body::Open(Open { resumed: true, ..facts(1, 11) }))]).pictured());
        assert!(fold(&[(5, Body::Facts(facts(1, 11)))]).pictured());
    }

    #[test]
    fn an_expired_log_does_not_number_from_the_start_again() {
        assert_eq!(Control::default().next_epoch(0), Epoch(1));
        assert_eq!(Control::default().next_epoch(8_000), Epoch(8_001));
    }
}
