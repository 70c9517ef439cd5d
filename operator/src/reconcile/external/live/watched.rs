//! What is known of one stream's log, and when its tail is to be read. Pure:
//! time is passed in.

use std::time::{Duration, Instant};

use millrace_platform::log::{Control, Folded};

use super::{Broadcast, Seen};

/// Without a record for so long the log stands still: publishers send many a
/// second.
const STILL: Duration = Duration::from_secs(3);
/// While a log moves its tail is read this often: a broadcast may end and
/// another begin without a pause.
const AGAIN: Duration = Duration::from_mins(1);
/// Records looked at first. The facts stand before every keyframe; this is some
/// four seconds of video and audio.
const FIRST_LOOK: i64 = 250;

/// One stream's log.
#[derive(Debug, Default)]
pub(super) struct Watched {
    end: Option<i64>,
    moved: Option<Instant>,
    moving: bool,
    /// It was looked at twice, so that standing and moving are told apart.
    twice: bool,
    /// None as long as it says nothing: most logs are of streams that nobody
    /// publishes to.
    control: Option<Box<Control>>,
    /// Up to where the log is folded.
    folded: i64,
    /// How far back from the end is looked.
    look: i64,
    /// When it was last read, if its tail says all.
    read: Option<Instant>,
    /// Since when no broker says where it ends.
    silent: Option<Instant>,
}

impl Watched {
    /// No broker says where it ends.
    pub(super) fn is_silent(&mut self, now: Instant) {
        self.silent.get_or_insert(now);
    }

    /// For how long that has been so.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        self.silent.map(|since| now.saturating_duration_since(since)).unwrap_or_default()
    }

    /// It was not looked at often enough to know anything.
    pub(super) fn is_new(&self) -> bool {
        !self.twice
    }

    /// The log ends there; none: there is no such topic.
    pub(super) fn ends_at(&mut self, end: Option<i64>, now: Instant) {
        self.silent = None;
        let Some(end) = end else {
            // Known for certain: nothing is there.
            *self = Self { twice: true, read: Some(now), ..Self::default() };
            return;
        };
        match self.end {
            None => self.read = None,
            Some(before) if end < before => {
                // Another topic of the same name.
                *self = Self::default();
            }
            Some(before) => {
                self.twice = true;
                if end > before {
                    let began = !self.moving;
                    (self.moving, self.moved) = (true, Some(now));
                    let old = self.read.is_some_and(|at| now.duration_since(at) >= AGAIN);
                    if began || old || self.waits_for_picture() {
                        self.read = None;
                    }
                } else if self.moving
                    && self.moved.is_none_or(|moved| now.duration_since(moved) >= STILL)
                {
                    self.moving = false;
                    self.read = None;
                }
            }
        }
        self.end = Some(end);
        if self.read.is_none() && self.folded >= end {
            self.read = Some(now);
        }
    }

    /// What of the log is to be read: `from..to`, which begins no earlier than
    /// the log does.
    pub(super) fn wants(&self) -> Option<(i64, i64)> {
        let end = self.end.filter(|_| self.read.is_none())?;
        let look = self.look.max(FIRST_LOOK);
        Some((self.folded.max(end.saturating_sub(look)), end))
    }

    /// What is known, for the records in between.
    pub(super) fn control(&self) -> Control {
        self.control.as_deref().cloned().unwrap_or_default()
    }

    /// The log has nothing of what was wanted any more.
    pub(super) fn is_void(&mut self, to: i64, now: Instant) {
        (self.folded, self.look, self.read) = (to, 0, Some(now));
    }

    /// The records `from..to` say this. `first` is where the log begins.
    pub(super) fn says(&mut self, (from, to): (i64, i64), first: i64, is: Folded, now: Instant) {
        let whole = from <= self.folded.max(first);
        let enough = is.read.open().is_some() || is.read.closed().is_some();
        if whole || enough {
            self.control = (is.control != Control::default()).then(|| Box::new(is.control));
            (self.folded, self.look, self.read) = (to, 0, Some(now));
        } else {
            self.look = self.look.max(FIRST_LOOK).saturating_mul(8);
        }
    }

    fn waits_for_picture(&self) -> bool {
        self.control.as_ref().is_some_and(|is| is.open().is_some() && !is.pictured())
    }

    /// What is known of the stream; none as long as one look said too little to
    /// take back what was known before.
    pub(super) fn seen(&self, now_ms: i64) -> Option<Seen> {
        if !self.twice {
            return None;
        }
        // What was read before stands until it was read again.
        if self.read.is_none() && self.folded == 0 {
            return Some(Seen::Unknown);
        }
        let broadcast = self.broadcast();
        Some(Seen::Known { broadcast, moving: self.moving, since_ms: now_ms })
    }

    fn broadcast(&self) -> Option<Broadcast> {
        let control = self.control.as_ref()?;
        if let Some(open) = control.open() {
            return Some(Broadcast {
                id: open.broadcast,
                started_ms: open.started_ms,
                epoch: control.epoch().unwrap_or_default(),
                pictured: control.pictured(),
                ended: None,
            });
        }
        control.closed().map(|closed| Broadcast {
            id: closed.facts.broadcast,
            started_ms: closed.facts.started_ms,
            epoch: closed.epoch,
            pictured: closed.pictured,
            ended: Some((closed.at_ms, closed.reason)),
        })
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::id::{BroadcastId, Epoch};
    use millrace_media::record::{Body, End, EndReason, Open, Record};
    use uuid::Uuid;

    use super::*;

    fn open(broadcast: u128) -> Record {
        let facts = Open {
            broadcast: BroadcastId(Uuid::from_u128(broadcast)),
            nonce: Uuid::from_u128(1),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 5,
            resumed: false,
        };
        Record { epoch: Epoch(1), body: Body::Open(facts) }
    }

    fn end(broadcast: u128) -> Record {
        let broadcast = BroadcastId(Uuid::from_u128(broadcast));
        Record {
            epoch: Epoch(1),
            body: Body::End(End { broadcast, reason: EndReason::Unpublished }),
        }
    }

    fn folded(before: Control, records: &[Record]) -> Folded {
        let (mut control, mut read) = (before, Control::default());
        for record in records {
            control.push(record, 9);
            read.push(record, 9);
        }
        Folded { control, read }
    }

    struct Clock(Instant);

    impl Clock {
        fn new() -> Self {
            Self(Instant::now())
        }

        fn second(&mut self) -> Instant {
            self.0 += Duration::from_secs(1);
            self.0
        }
    }

    fn moving(seen: Seen) -> bool {
        matches!(seen, Seen::Known { moving: true, .. })
    }

    #[test]
    fn a_log_that_no_broker_speaks_of_is_silent_until_one_does() {
        let (mut log, mut clock) = (Watched::default(), Clock::new());
        log.ends_at(Some(0), clock.second());
        for _ in 0..3 {
            log.is_silent(clock.second());
        }
        assert_eq!(log.silence(clock.0), Duration::from_secs(2));
        log.ends_at(Some(0), clock.second());
        assert_eq!(log.silence(clock.0), Duration::ZERO);
    }

    #[test]
    fn an_empty_log_is_known_after_two_looks_and_never_read() {
        let (mut log, mut clock) = (Watched::default(), Clock::new());
        for look in 0..5 {
            log.ends_at(Some(0), clock.second());
            assert_eq!(log.wants(), None);
            assert_eq!(log.seen(0).is_none(), look == 0);
        }
        assert_eq!(log.seen(0).unwrap().is_busy(), Some(false));
    }

    #[test]
    fn a_log_is_read_when_it_begins_to_move_and_when_it_stops_and_not_between() {
        let (mut log, mut clock) = (Watched::default(), Clock::new());
        log.ends_at(Some(0), clock.second());
        log.ends_at(Some(40), clock.second());
        assert_eq!(log.wants(), Some((0, 40)));
        let picture = Record {
            epoch: Epoch(1),
            body: Body::Facts(match open(1).body {
                Body::Open(facts) => facts,
                _ => unreachable!(),
            }),
        };
        log.says((0, 40), 0, folded(log.control(), &[open(1), picture]), clock.0);
        assert!(moving(log.seen(0).unwrap()) && log.seen(0).unwrap().is_live() == Some(true));
        for end in [80, 120, 160, 160, 160] {
            log.ends_at(Some(end), clock.second());
            assert_eq!(log.wants(), None, "{end}");
            assert!(moving(log.seen(0).unwrap()));
        }
        log.ends_at(Some(160), clock.second());
        assert!(!moving(log.seen(0).unwrap()) && log.seen(0).unwrap().is_busy() == Some(true));
        assert_eq!(log.wants(), Some((40, 160)));
        log.says((40, 160), 0, folded(log.control(), &[end(1)]), clock.0);
        assert_eq!(log.seen(0).unwrap().is_live(), Some(false));
        for _ in 0..200 {
            log.ends_at(Some(160), clock.second());
            assert_eq!(log.wants(), None);
        }
    }

    #[test]
    fn a_broadcast_without_a_picture_is_looked_at_until_it_has_one() {
        let (mut log, mut clock) = (Watched::default(), Clock::new());
        log.ends_at(Some(0), clock.second());
        log.ends_at(Some(1), clock.second());
        log.says((0, 1), 0, folded(log.control(), &[open(1)]), clock.0);
        log.ends_at(Some(2), clock.second());
        assert_eq!(log.wants(), Some((1, 2)));
    }

    #[test]
    fn a_long_log_is_read_from_its_end_and_further_back_only_where_that_says_nothing() {
        let (mut log, mut clock) = (Watched::default(), Clock::new());
        log.ends_at(Some(9_000), clock.second());
        log.ends_at(Some(9_000), clock.second());
        assert_eq!(log.wants(), Some((8_750, 9_000)));
        log.says((8_750, 9_000), 0, folded(log.control(), &[]), clock.0);
        assert_eq!(log.seen(0), Some(Seen::Unknown));
        assert_eq!(log.wants(), Some((7_000, 9_000)));
        // The end of a broadcast whose facts were not seen says nothing either.
        log.says((7_000, 9_000), 0, folded(log.control(), &[end(1)]), clock.0);
        assert_eq!(log.wants(), Some((0, 9_000)));
        log.says((0, 9_000), 0, folded(log.control(), &[open(1), end(1)]), clock.0);
        assert_eq!(log.seen(0).unwrap().is_live(), Some(false));
        assert_eq!(log.wants(), None);
    }

    #[test]
    fn a_topic_that_is_gone_or_made_anew_says_nothing_of_what_was() {
        let (mut log, mut clock) = (Watched::default(), Clock::new());
        log.ends_at(Some(10), clock.second());
        log.says((0, 10), 0, folded(log.control(), &[open(1)]), clock.0);
        log.ends_at(Some(10), clock.second());
        assert_eq!(log.seen(0).unwrap().is_live(), Some(true));
        log.ends_at(None, clock.second());
        assert_eq!(log.seen(0).unwrap().is_live(), Some(false));
        log.ends_at(Some(10), clock.second());
        log.says((0, 10), 0, folded(log.control(), &[open(1)]), clock.0);
        log.ends_at(Some(3), clock.second());
        assert_eq!(log.seen(0), None);
        assert_eq!(log.wants(), Some((0, 3)));
    }
}
