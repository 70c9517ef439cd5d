//! How long to wait before trying again: exponential, capped, jittered.

use std::time::Duration;

/// Waits that double up to a cap, each scattered over its upper half so that
/// many clients of one server don't come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// The first wait is at most `base`, none is longer than `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// The next wait.
    pub fn next_delay(&mut self) -> Duration {
        let delay = delay(self.base, self.cap, self.attempt, rand::random());
        self.attempt = self.attempt.saturating_add(1);
        delay
    }

    /// Sleeps for the next wait.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// It worked: start small again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Waits taken since the start or the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempt
    }
}

/// The wait of one attempt (from 0); `random` is in 0..1.
fn delay(base: Duration, cap: Duration, attempt: u32, random: f64) -> Duration {
    let whole = base.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(cap);
    whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_scatter_over_the_upper_half() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(1));
        let at = |attempt, random| delay(base, cap, attempt, random).as_millis();
        assert_eq!([at(0, 1.0), at(1, 1.0), at(2, 1.0), at(9, 1.0)], [100, 200, 400, 1000]);
        assert_eq!(at(1, 0.0), 100);
        assert_eq!(at(u32::MAX, 1.0), 1000);
    }
}
