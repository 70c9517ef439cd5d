//! The two clocks of the process: one that never goes back, for waits, and the
//! wall's, for records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time since the process began to listen.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the start.
    pub fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// When that time is.
    pub fn at(self, time: Duration) -> Instant {
        self.start + time
    }
}

/// Milliseconds since 1970; 0 on a clock before that.
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
