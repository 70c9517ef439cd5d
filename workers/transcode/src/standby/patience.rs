//! When a standby stops waiting for the writer. Pure: time is an argument.

use std::time::{Duration, Instant};

use millrace_media::time::Ticks;

use super::edge::Edge;

/// What counts at most between two looks: time in which this process stood
/// still says nothing of the writer.
const LOOK: Duration = Duration::from_millis(250);
/// One look alone is never enough.
const SHORTEST: Duration = Duration::from_millis(350);
/// After Redis was away or has lost what it had, the writer gets so long to come
/// back to it.
const GRACE: Duration = Duration::from_secs(4);
/// A writer that has published nothing at all yet gets so long,
const FIRST: Duration = Duration::from_secs(5);
/// and for the end of a broadcast, all of it to be encoded and told.
const END: Duration = Duration::from_secs(3);
/// Takeovers make patient for so long, each twice as much, up to a limit,
const REMEMBERED: Duration = Duration::from_mins(1);
const MOST_DOUBLED: u32 = 3;
/// and never more than this.
const LONGEST: Duration = Duration::from_secs(10);

/// The log, as far as a standby has it, beside what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Pictures after the edge, as time.
    pub after_edge: Ticks,
    /// Pictures that came since the edge moved last, as time.
    pub since_moved: Ticks,
    /// The first of them need an encoder that is not started yet.
    pub opens: bool,
    /// The log has the broadcast's end.
    pub ends: bool,
}

/// Takeovers of the last minute.
#[derive(Debug, Default)]
pub struct Takeovers(Vec<Instant>);

impl Takeovers {
    /// One more.
    pub fn add(&mut self, now: Instant) {
        self.0.retain(|at| now.saturating_duration_since(*at) < REMEMBERED);
        self.0.push(now);
    }

    /// By how much they make patient.
    fn factor(&self, now: Instant) -> u32 {
        let recent = self.0.iter().filter(|at| now.saturating_duration_since(**at) < REMEMBERED);
        1 << u32::try_from(recent.count()).unwrap_or(MOST_DOUBLED).min(MOST_DOUBLED)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Patience {
    /// The longest part.
    part: Duration,
    /// What it is stretched by where two may well stand by, so that they do not
    /// lose it together: 0 to 1.
    scatter: f64,
    edge: Edge,
    /// How long pictures have waited for the edge to move.
    waited: Duration,
    looked: Option<Instant>,
    /// Not before.
    grace: Option<Instant>,
    /// A run has begun, or this standby, and nothing came out of it yet.
    starting: bool,
}

impl Patience {
    /// With parts of at most `part`, for a standby that begins now.
    pub fn new(part: Ticks, scatter: f64) -> Self {
        let part = Duration::from_millis(u64::try_from(part.as_ms()).unwrap_or(0));
        Self {
            part,
            scatter,
            edge: Edge::default(),
            waited: Duration::ZERO,
            looked: None,
            grace: None,
            starting: true,
        }
    }

    /// What is published, as it was seen last.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Redis could not be asked: nothing is known of the writer.
    pub fn blind(&mut self, now: Instant) {
        self.waited = Duration::ZERO;
        self.looked = Some(now);
        self.grace = now.checked_add(GRACE);
    }

    /// What is published now; whether it has moved.
    pub fn see(&mut self, now: Instant, edge: Edge) -> bool {
        if edge.has_lost(&self.edge) {
            self.blind(now);
        }
        let moved = edge != self.edge;
        if moved {
            self.starting = edge.run != self.edge.run;
            self.waited = Duration::ZERO;
            self.edge = edge;
        }
        moved
    }

    /// After [`Patience::see`]: whether it is at its end.
    pub fn is_over(&mut self, now: Instant, pending: Pending, before: &Takeovers) -> bool {
        let looked = self.looked.replace(now);
        let part = Ticks::from_ms(i64::try_from(self.part.as_millis()).unwrap_or(i64::MAX));
        let waits = pending.after_edge > part && pending.since_moved > part;
        if !waits && !pending.ends {
            self.waited = Duration::ZERO;
            return false;
        }
        let passed = looked.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.waited = self.waited.saturating_add(passed.min(LOOK));
        let (limit, scatter) = if self.edge.is_nothing() {
            (FIRST, self.scatter)
        } else if pending.ends {
            (END, self.scatter)
        } else if pending.opens || self.starting {
            (self.part.saturating_mul(6), self.scatter)
        } else {
            // The writer was seen at work, so that hardly ever another one stands by.
            (self.part.saturating_mul(2).max(SHORTEST), 0.0)
        };
        let limit = limit.saturating_mul(before.factor(now)).min(LONGEST);
        let limit = limit.mul_f64(1.0 + scatter / 4.0);
        self.waited > limit && self.grace.is_none_or(|until| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standby::edge::tests::edge;

    const LIVE: Pending = Pending {
        after_edge: Ticks::from_ms(400),
        since_moved: Ticks::from_ms(400),
        opens: false,
        ends: false,
    };

    struct Standby {
        patience: Patience,
        takeovers: Takeovers,
        now: Instant,
    }

    impl Standby {
        /// One who has seen a writer publish up to 8 s and go on.
        fn new() -> Self {
            let patience = Patience::new(Ticks::from_ms(215), 0.0);
            let mut this = Self { patience, takeovers: Takeovers::default(), now: Instant::now() };
            this.see(1, 8_000);
            this.see(1, 8_200);
            this
        }

        fn see(&mut self, run: u64, end_ms: i64) -> bool {
            self.patience.see(self.now, edge(run, [Some(end_ms); 3]))
        }

        /// Looks each 100 ms at an edge that stands still; ms until it has enough.
        fn waits(&mut self, pending: Pending) -> Option<u32> {
            (0..200).map(|look| look * 100).find(|_| {
                let over = self.patience.is_over(self.now, pending, &self.takeovers);
                self.now += Duration::from_millis(100);
                over
            })
        }
    }

    #[test]
    fn a_writer_that_stands_still_while_pictures_come_is_given_up() {
        assert_eq!(Standby::new().waits(LIVE), Some(500));
    }

    #[test]
    fn a_writer_is_not_given_up_while_nothing_waits_for_it() {
        for (after_edge, since_moved) in [(200, 400), (9_000, 200), (0, 0)] {
            let (after_edge, since_moved) =
                (Ticks::from_ms(after_edge), Ticks::from_ms(since_moved));
            assert_eq!(Standby::new().waits(Pending { after_edge, since_moved, ..LIVE }), None);
        }
    }

    #[test]
    fn whoever_has_to_start_an_encoder_gets_longer() {
        assert_eq!(Standby::new().waits(Pending { opens: true, ..LIVE }), Some(1_300));
        let mut another_run = Standby::new();
        another_run.see(2, 8_200);
        assert_eq!(another_run.waits(LIVE), Some(1_300));
        let mut nothing = Standby::new();
        nothing.patience = Patience::new(Ticks::from_ms(215), 0.0);
        assert_eq!(nothing.waits(LIVE), Some(5_100));
        assert_eq!(Standby::new().waits(Pending { ends: true, ..LIVE }), Some(3_100));
    }

    #[test]
    fn each_move_of_the_edge_gives_the_whole_time_again() {
        let mut standby = Standby::new();
        for step in 1..30 {
            assert!(!standby.patience.is_over(standby.now, LIVE, &standby.takeovers));
            standby.now += Duration::from_millis(200);
            assert!(standby.see(1, 8_200 + step * 200));
        }
    }

    #[test]
    fn while_redis_is_away_nothing_is_decided_and_the_writer_may_come_back_first() {
        let mut standby = Standby::new();
        for _ in 0..40 {
            standby.patience.blind(standby.now);
            standby.now += Duration::from_millis(100);
        }
        assert_eq!(standby.waits(LIVE), Some(3_900));
        // The same where it has lost what it had.
        let mut emptied = Standby::new();
        emptied.patience.see(emptied.now, Edge::default());
        emptied.see(1, 8_200);
        assert_eq!(emptied.waits(LIVE), Some(4_000));
    }

    #[test]
    fn a_standby_that_stood_still_does_not_blame_the_writer() {
        let mut standby = Standby::new();
        // The shortest there are: two of them are less than what one look may count.
        standby.patience.part = Duration::from_millis(107);
        assert!(!standby.patience.is_over(standby.now, LIVE, &standby.takeovers));
        standby.now += Duration::from_mins(1);
        assert!(!standby.patience.is_over(standby.now, LIVE, &standby.takeovers));
    }

    #[test]
    fn who_took_over_lately_waits_longer_up_to_a_limit() {
        let mut standby = Standby::new();
        let mut waits = Vec::new();
        for _ in 0..5 {
            standby.takeovers.add(standby.now);
            standby.see(1, 8_400 + 200 * i64::try_from(waits.len()).unwrap());
            waits.push(standby.waits(LIVE).unwrap());
        }
        assert_eq!(waits, [900, 1_700, 3_400, 3_400, 3_400]);
        standby.now += Duration::from_mins(2);
        standby.patience.looked = Some(standby.now);
        standby.see(1, 10_000);
        assert_eq!(standby.waits(LIVE), Some(500));
    }

    #[test]
    fn two_standbys_that_have_just_begun_do_not_lose_their_patience_together() {
        let waits = |scatter, edges: &[i64]| {
            let mut standby = Standby::new();
            standby.patience = Patience::new(Ticks::from_ms(215), scatter);
            for end_ms in edges {
                standby.see(1, *end_ms);
            }
            standby.waits(LIVE)
        };
        assert!(waits(0.9, &[8_000]) > waits(0.0, &[8_000]));
        // Who has seen the writer at work does not wait longer.
        assert_eq!(waits(0.9, &[8_000, 8_200]), waits(0.0, &[8_000, 8_200]));
    }
}
