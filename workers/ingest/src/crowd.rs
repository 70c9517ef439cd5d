//! The connections that do not publish. When there are as many connections as
//! allowed, one of these gives way: strangers who hold theirs open must not
//! keep a publisher out.
//!
//! First one that was refused and only waits to be told so; then the oldest of
//! the address that has most of them, but not before it had the time to say its
//! key: a flood must not push out the right one in the middle of its handshake.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Time to come from connecting to a publish: some round trips.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Inner {
    entered: u64,
    /// Oldest first; no more than connections.
    strangers: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    address: IpAddr,
    since: Instant,
    refused: bool,
    out: CancellationToken,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    inner: Mutex<Inner>,
}

/// A place in the crowd; dropping it leaves, as a publisher does.
#[derive(Debug)]
pub(crate) struct Stranger {
    crowd: Arc<Crowd>,
    number: u64,
    out: CancellationToken,
}

impl Crowd {
    /// A new connection, the youngest.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, now: Instant) -> Stranger {
        let out = CancellationToken::new();
        let mut inner = self.lock();
        inner.entered += 1;
        let number = inner.entered;
        let entry = Entry { number, address, since: now, refused: false, out: out.clone() };
        inner.strangers.push(entry);
        drop(inner);
        Stranger { crowd: Arc::clone(self), number, out }
    }

    /// Tells one to go; false if nobody may be told so yet.
    pub(crate) fn push_out(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        let Some(index) = inner.first_to_go(now) else { return false };
        inner.strangers.remove(index).out.cancel();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn first_to_go(&self, now: Instant) -> Option<usize> {
        let has = |address| self.strangers.iter().filter(|s| s.address == address).count();
        let had_time = |s: &Entry| now.saturating_duration_since(s.since) >= GRACE;
        let refused = self.strangers.iter().position(|s| s.refused);
        refused.or_else(|| {
            let most = self.strangers.iter().map(|s| has(s.address)).max()?;
            self.strangers.iter().position(|s| has(s.address) == most && had_time(s))
        })
    }
}

impl Stranger {
    /// Resolves when it is to go.
    pub(crate) async fn pushed_out(&self) {
        self.out.cancelled().await;
    }

    /// It will not publish: the first to go.
    pub(crate) fn refused(&self) {
        let mut inner = self.crowd.lock();
        if let Some(entry) = inner.strangers.iter_mut().find(|s| s.number == self.number) {
            entry.refused = true;
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.crowd.lock().strangers.retain(|entry| entry.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[tokio::test]
    async fn the_oldest_stranger_goes_first_and_who_publishes_stays() {
        let (crowd, now) = (Arc::new(Crowd::default()), Instant::now());
        let [publisher, second, third] = [1, 1, 1].map(|last| crowd.enter(address(last), now));
        let out = publisher.out.clone();
        drop(publisher);
        assert!(crowd.push_out(now + GRACE));
        second.pushed_out().await;
        assert!(crowd.push_out(now + GRACE));
        third.pushed_out().await;
        assert!(!crowd.push_out(now + GRACE) && !out.is_cancelled());
    }

    #[tokio::test]
    async fn who_was_refused_goes_first_and_then_the_address_with_most() {
        let (crowd, now) = (Arc::new(Crowd::default()), Instant::now());
        let [alone, many, refused, more] = [1, 2, 1, 2].map(|last| crowd.enter(address(last), now));
        refused.refused();
        assert!(crowd.push_out(now));
        refused.pushed_out().await;
        // The others have time to say their keys.
        assert!(!crowd.push_out(now));
        for next in [&many, &alone, &more] {
            assert!(!next.out.is_cancelled());
            assert!(crowd.push_out(now + GRACE));
            next.pushed_out().await;
        }
    }
}
