//! The process's clock that never goes back, for waits.

use std::time::Duration;

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
