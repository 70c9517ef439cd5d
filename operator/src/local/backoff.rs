//! How long to wait before a process that ended is started again.

use std::time::Duration;

/// At once at first, then twice as long each time. Pure: it is told how long
/// the process ran.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);
    /// A process that ran this long was healthy.
    const HEALTHY: Duration = Duration::from_secs(30);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The wait after a process that ran for this long.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= Self::HEALTHY {
            self.next = Self::FIRST;
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
    fn waits_grow_to_ten_seconds_and_begin_anew_after_a_healthy_run() {
        let mut backoff = Backoff::new();
        let short = Duration::from_secs(1);
        let waits: Vec<_> = (0..9).map(|_| backoff.after(short).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(backoff.after(Duration::from_secs(30)).as_millis(), 100);
    }
}
