//! The ways to Postgres: a wide one, and a narrow one for who is tired of wrong
//! keys ([`super::failures`]). Both are walked in the order of arrival.
//!
//! The narrow one bounds what a flood of wrong keys costs: one question at a
//! time, and after each bcrypt a pause. A connection's place bounds how many
//! wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Questions at once on the wide way.
const WIDE: usize = 4;
/// Between the bcrypts of the narrow way: at most 40 a second.
const PAUSE: Duration = Duration::from_millis(25);

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes {
    wide: Arc<Semaphore>,
    narrow: Arc<Semaphore>,
}

/// A turn on one of them.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    narrow: bool,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { wide: Arc::new(Semaphore::new(WIDE)), narrow: Arc::new(Semaphore::new(1)) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, tired: bool) -> Turn {
        let lane = if tired { &self.narrow } else { &self.wide };
        // Never closed.
        let permit = Arc::clone(lane).acquire_owned().await.ok();
        Turn { _permit: permit, narrow: tired }
    }
}

impl Turn {
    /// Ends it; `costly` if bcrypt was done.
    pub(super) fn end(self, costly: bool) {
        if costly && self.narrow {
            tokio::spawn(async move {
                tokio::time::sleep(PAUSE).await;
                drop(self);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bcrypts_of_tired_ones_are_spaced_and_others_do_not_wait_for_them() {
        let lanes = Lanes::new();
        let start = tokio::time::Instant::now();
        for _ in 0..40 {
            lanes.turn(true).await.end(true);
        }
        let spent = start.elapsed();
        assert!(spent >= PAUSE * 39, "{spent:?}");
        // Cheap ones are not.
        let held = lanes.turn(true).await;
        let before = tokio::time::Instant::now();
        lanes.turn(false).await.end(true);
        drop(held);
        for _ in 0..1_000 {
            lanes.turn(true).await.end(false);
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
