//! How fast tokens that nobody knows are asked about.
//!
//! Nothing is refused for others' failures: who comes from where many fail
//! waits for its turn there, and others do not.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// So many failures are let pass, from one address (IPv6: one /64) in a minute.
const FAILURES: u32 = 10;
const MINUTE: Duration = Duration::from_mins(1);
/// Questions at a time, of all.
const QUESTIONS: usize = 16;
/// Addresses remembered.
const ADDRESSES: u64 = 4_096;

#[derive(Debug, Default)]
struct Address {
    failures: AtomicU32,
    turn: Arc<Mutex<()>>,
}

/// Hands out turns.
#[derive(Debug)]
pub struct Pace {
    addresses: Cache<IpAddr, Arc<Address>>,
    places: Arc<Semaphore>,
}

/// Leave to ask one question, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    address: Arc<Address>,
    _own: Option<OwnedMutexGuard<()>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// The token was none.
    pub fn failed(&self) {
        self.address.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for Pace {
    fn default() -> Self {
        let addresses = Cache::builder().max_capacity(ADDRESSES).time_to_live(MINUTE).build();
        Self { addresses, places: Arc::new(Semaphore::new(QUESTIONS)) }
    }
}

impl Pace {
    /// Waits for a turn: one at a time where many failed.
    pub async fn turn(&self, address: IpAddr) -> Turn {
        let address = self.addresses.get_with(address, async { Arc::default() }).await;
        let crowded = address.failures.load(Ordering::Relaxed) >= FAILURES;
        let own = if crowded { Some(Arc::clone(&address.turn).lock_owned().await) } else { None };
        // Never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        Turn { address, _own: own, _place: place }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn where_many_failed_one_is_asked_about_at_a_time_and_elsewhere_more() {
        let pace = Pace::default();
        let [noisy, quiet]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        let first = pace.turn(noisy).await;
        for _ in 0..FAILURES {
            first.failed();
        }
        let held = pace.turn(noisy).await;
        assert!(pace.turn(noisy).now_or_never().is_none());
        assert!(pace.turn(quiet).now_or_never().is_some());
        drop(held);
        assert!(pace.turn(noisy).now_or_never().is_some());
    }
}
