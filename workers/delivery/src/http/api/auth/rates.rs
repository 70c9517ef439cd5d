//! How many requests one caller may make.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::future::Cache;

/// Requests a second, in the long run.
const RATE: f64 = 50.0;
/// Requests at once.
const BURST: f64 = 100.0;
/// Callers remembered. Who is forgotten has its whole burst again.
const CALLERS: u64 = 10_000;
const IDLE: Duration = Duration::from_mins(1);

/// What one caller has left.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Takes one; else says in how many seconds there is one.
    fn take(&mut self, now: Instant) -> Result<(), f64> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = passed.mul_add(RATE, self.left).min(BURST);
        self.at = now;
        if self.left < 1.0 {
            return Err((1.0 - self.left) / RATE);
        }
        self.left -= 1.0;
        Ok(())
    }
}

/// All callers' buckets.
#[derive(Debug)]
pub struct Rates(Cache<Arc<str>, Arc<Mutex<Bucket>>>);

impl Default for Rates {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CALLERS).time_to_idle(IDLE).build())
    }
}

impl Rates {
    /// Whether one more request of this caller is taken; else after how many
    /// seconds, at least 1.
    pub async fn take(&self, caller: &Arc<str>) -> Result<(), u32> {
        let full = async { Arc::new(Mutex::new(Bucket { left: BURST, at: Instant::now() })) };
        let bucket = self.0.get_with(Arc::clone(caller), full).await;
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        // No bucket is a second short.
        taken.map_err(|_| 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket { left: BURST, at: start };
        let taken = |bucket: &mut Bucket, at: Duration| {
            (0..1_000).take_while(|_| bucket.take(start + at).is_ok()).count()
        };
        assert_eq!(taken(&mut bucket, Duration::ZERO), 100);
        assert_eq!(taken(&mut bucket, Duration::from_secs(1)), 50);
        assert_eq!(taken(&mut bucket, Duration::from_hours(1)), 100);
        assert!(bucket.take(start).unwrap_err() <= 0.02);
    }
}
