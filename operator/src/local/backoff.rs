//! How long to wait before a process that ended is started again.

use std::time::Duration;

/// At once after a run that was one; twice as long each time for a process
/// that does not come up. Pure: it is told how long the process ran.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);
    /// A process that ran this long did its work: what ended it came from
    /// outside, and viewers wait for the next one.
    const HEALTHY: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The wait after a process that ran for this long.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= Self::HEALTHY {
            self.next = Self::FIRST;
            return Duration::ZERO;
        }
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_ten_seconds_while_it_does_not_come_up() {
        let mut backoff = Backoff::new();
        let short = Duration::from_millis(200);
        let waits: Vec<_> = (0..9).map(|_| backoff.after(short).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn a_process_that_worked_is_started_again_at_once() {
        let mut backoff = Backoff::new();
        backoff.after(Duration::ZERO);
        backoff.after(Duration::ZERO);
        assert_eq!(backoff.after(Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(backoff.after(Duration::ZERO), Duration::from_millis(100));
    }
}
