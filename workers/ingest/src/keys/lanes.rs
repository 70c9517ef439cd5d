//! The ways to Postgres: a wide one, and a narrow one for who is tired of wrong
//! keys ([`super::failures`]). Both are walked in the order of arrival.
//!
//! The narrow one bounds what a flood of wrong keys costs: one question at a
//! time, at an even pace, so that nobody's wait tells what was asked of those
//! before. A connection's place bounds how many wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Questions at once on the wide way.
const WIDE: usize = 4;
/// From one wrong key of the narrow way to the next, known or not: longer than
/// Postgres and the dearest bcrypt (`KEY_BCRYPT_COST`) take together.
const PACE: Duration = Duration::from_millis(25);

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes {
    wide: Arc<Semaphore>,
    /// When the next one may go.
    narrow: Arc<Mutex<Instant>>,
}

/// A turn on one of them; dropping it ends it.
#[derive(Debug)]
pub(super) enum Turn {
    Wide { _permit: Option<OwnedSemaphorePermit> },
    Narrow { next: OwnedMutexGuard<Instant> },
}

impl Lanes {
    pub(super) fn new() -> Self {
        let narrow = Arc::new(Mutex::new(Instant::now()));
        Self { wide: Arc::new(Semaphore::new(WIDE)), narrow }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, tired: bool) -> Turn {
        if tired {
            let mut next = Arc::clone(&self.narrow).lock_owned().await;
            sleep_until(*next).await;
            *next = Instant::now() + PACE;
            Turn::Narrow { next }
        } else {
            // Never closed.
            Turn::Wide { _permit: Arc::clone(&self.wide).acquire_owned().await.ok() }
        }
    }
}

impl Turn {
    /// Ends it; the key was right, and the next one need not wait for it.
    pub(super) fn right(self) {
        if let Self::Narrow { mut next } = self {
            *next = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wrong_keys_of_tired_ones_go_at_one_pace_whatever_their_work_takes() {
        let ms = Duration::from_millis;
        for work in [ms(0), ms(4), ms(20)] {
            let lanes = Lanes::new();
            let start = Instant::now();
            for _ in 0..40 {
                let turn = lanes.turn(true).await;
                tokio::time::sleep(work).await;
                drop(turn);
            }
            drop(lanes.turn(true).await);
            assert_eq!(start.elapsed(), PACE * 40, "{work:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn right_keys_and_others_do_not_wait_for_the_pace() {
        let lanes = Lanes::new();
        let start = Instant::now();
        for _ in 0..1_000 {
            lanes.turn(true).await.right();
        }
        let held = lanes.turn(true).await;
        drop(lanes.turn(false).await);
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(held);
    }
}
