//! When a stream whose reconcile failed is tried again.

use std::time::Duration;

use millrace_platform::backoff::Backoff;
use rand::Rng;
use tokio::time::Instant;

/// A failing stream is tried again after this at first,
const SOON: Duration = Duration::from_millis(500);
/// and after this at most.
const SELDOM: Duration = Duration::from_mins(2);

/// A stream whose last reconcile failed.
#[derive(Debug)]
pub(super) struct Failing {
    backoff: Backoff,
    /// When it is tried again, whatever happens.
    due: Instant,
    /// The API server is not to be asked before.
    not_before: Option<Instant>,
    /// Where it was sent away last.
    sent_away_at: Option<String>,
}

impl Failing {
    pub(super) fn new() -> Self {
        let backoff = Backoff::new(SOON, SELDOM);
        Self { backoff, due: Instant::now(), not_before: None, sent_away_at: None }
    }

    /// After how long to try again, now that `what` failed. Not before the
    /// server's time, and then not with all others that were sent away with it.
    pub(super) fn next_try(&mut self, what: String, retry_after: Option<Duration>) -> Duration {
        let now = Instant::now();
        let what = retry_after.map(|_| what);
        if what.is_some() && what != self.sent_away_at {
            // It got further: the server lets some through.
            self.backoff.reset();
        }
        self.sent_away_at = what;
        // A try that news brought before its time makes it wait no longer.
        if self.due <= now {
            self.due = now.checked_add(self.backoff.next_delay()).unwrap_or(now);
        }
        let asked = retry_after.map(|wait| wait.mul_f64(rand::rng().random_range(1.0..1.5)));
        self.not_before = asked.and_then(|wait| now.checked_add(wait));
        self.due.saturating_duration_since(now).max(asked.unwrap_or_default())
    }

    /// Waits taken so far.
    pub(super) fn attempts(&self) -> u32 {
        self.backoff.attempts()
    }

    /// For how long it is still sent away.
    pub(super) fn sent_away(&self) -> Option<Duration> {
        let left = self.not_before?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_keeps_failing_is_tried_less_and_less_often() {
        let mut failing = Failing::new();
        for most in [500, 1_000, 2_000, 4_000] {
            let wait = failing.next_try("x".to_owned(), None);
            assert!((most / 2..=most).contains(&wait.as_millis()), "{wait:?} of {most} ms");
            // News brings it back halfway: it fails again.
            let (half, rest) = (wait / 2, wait.saturating_sub(wait / 2));
            tokio::time::sleep(half).await;
            // The clock goes by milliseconds.
            let again = failing.next_try("x".to_owned(), None);
            assert!(rest.abs_diff(again).as_millis() <= 1, "{again:?}, {rest:?}");
            assert_eq!(failing.sent_away(), None);
            tokio::time::sleep(rest).await;
        }
        assert_eq!(failing.attempts(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_sent_away_stays_away_for_as_long_as_it_is_told() {
        let mut failing = Failing::new();
        let second = Duration::from_secs(1);
        let wait = failing.next_try("x".to_owned(), Some(8 * second));
        assert!((8 * second..12 * second).contains(&wait), "{wait:?}");
        tokio::time::sleep(wait.saturating_sub(second)).await;
        assert!(failing.sent_away().is_some_and(|left| left <= second));
        tokio::time::sleep(second).await;
        assert_eq!(failing.sent_away(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gets_further_each_time_waits_no_longer_than_it_is_told() {
        let (mut failing, second) = (Failing::new(), Duration::from_secs(1));
        let mut longest = Duration::ZERO;
        for what in ["a", "b", "c", "d", "e", "f", "f", "f", "f"] {
            let wait = failing.next_try(what.to_owned(), Some(second));
            assert!(what == "f" || wait < 2 * second, "{what}: {wait:?}");
            longest = longest.max(wait);
            tokio::time::sleep(wait).await;
        }
        assert!(longest >= 2 * second, "{longest:?}");
    }
}
