//! How many lines strangers may cause. Pure: time is an argument.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines within [`WINDOW`].
const LINES: u32 = 10;
/// After so long they are counted anew.
const WINDOW: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// Since when, and how many.
    used: Mutex<Option<(Instant, u32)>>,
}

impl Quota {
    /// Whether one more is fine.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = match *used {
            Some((since, count)) if now.saturating_duration_since(since) < WINDOW => (since, count),
            _ => (now, 0),
        };
        *used = Some((since, count.saturating_add(1)));
        count < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_minute_and_no_more() {
        let (quota, now) = (Quota::default(), Instant::now());
        let taken = |now| (0..30).filter(|_| quota.take(now)).count();
        assert_eq!(taken(now), 10);
        assert_eq!(taken(now + Duration::from_secs(59)), 0);
        assert_eq!(taken(now + WINDOW), 10);
    }
}
