//! Streams that were suspended while they were live, or may have been: since
//! when the end of their broadcast is waited for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::fingerprint::fingerprint;

/// By the LiveStream's UID.
#[derive(Debug, Default)]
pub struct Suspended(Mutex<HashMap<u64, Instant>>);

impl Suspended {
    /// For how long the end is waited for, by this process: from now, if this
    /// is the first time.
    pub fn waited(&self, uid: &str) -> Duration {
        self.all().entry(fingerprint(uid)).or_insert_with(Instant::now).elapsed()
    }

    /// It goes on, or is gone.
    pub fn forget(&self, uid: &str) {
        self.all().remove(&fingerprint(uid));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_first_look_until_the_stream_goes_on() {
        let (suspended, minute) = (Suspended::default(), Duration::from_mins(1));
        assert_eq!(suspended.waited("a"), Duration::ZERO);
        tokio::time::advance(minute).await;
        assert_eq!((suspended.waited("a"), suspended.waited("b")), (minute, Duration::ZERO));
        suspended.forget("a");
        assert_eq!(suspended.waited("a"), Duration::ZERO);
    }
}
