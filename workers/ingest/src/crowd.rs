//! The connections that do not publish. When there are as many connections as
//! allowed, one of these gives way: strangers who hold theirs open must not
//! keep a publisher out.
//!
//! First one that was refused and only waits to be told so; then one of the
//! address that has most of them: who says nothing, or has said its key and
//! waits, before who is in the middle of its handshake, the longest first. Not
//! before it had its time: a flood must not push out the right one. That is
//! short where an address has many, or as many as there are places would keep
//! all others out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use millrace_platform::network::network;

/// Time to come from connecting to a publish: some round trips.
const GRACE: Duration = Duration::from_secs(1);
/// So many an address may have, and each have that time.
const FEW: usize = 8;
/// Where an address has more, time to say something,
const SILENCE: Duration = Duration::from_millis(50);
/// and then for the handshake, and for the check of the key.
const HASTE: Duration = Duration::from_millis(250);

/// How far a stranger has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It has said nothing.
    Silent,
    /// It has begun to speak.
    Speaking,
    /// It has said its key.
    Asked,
    /// It will not publish.
    Refused,
}

#[derive(Debug, Default)]
struct Inner {
    entered: u64,
    /// Oldest first; no more than connections.
    strangers: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    network: IpAddr,
    entered: Instant,
    stage: Stage,
    /// In this stage.
    since: Instant,
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
        let (network, stage) = (network(address), Stage::Silent);
        let (entered, since) = (now, now);
        let entry = Entry { number, network, entered, stage, since, out: out.clone() };
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
        let has = |network| self.strangers.iter().filter(|s| s.network == network).count();
        let had = |time, since| now.saturating_duration_since(since) >= time;
        let refused = self.strangers.iter().position(|s| s.stage == Stage::Refused);
        refused.or_else(|| {
            let most = self.strangers.iter().map(|s| has(s.network)).max()?;
            let haste = |s: &Entry| if s.stage == Stage::Silent { SILENCE } else { HASTE };
            let had_time =
                |s: &Entry| had(GRACE, s.entered) || (most > FEW && had(haste(s), s.since));
            let may_go = |s: &Entry| has(s.network) == most && had_time(s);
            let all = self.strangers.iter().enumerate().filter(|(_, s)| may_go(s));
            let order = |s: &Entry| (s.stage == Stage::Speaking, s.since);
            all.min_by_key(|(_, s)| order(s)).map(|(index, _)| index)
        })
    }
}

impl Stranger {
    /// Resolves when it is to go.
    pub(crate) async fn pushed_out(&self) {
        self.out.cancelled().await;
    }

    /// It has come so far.
    pub(crate) fn reached(&self, stage: Stage, now: Instant) {
        let mut inner = self.crowd.lock();
        let entry = inner.strangers.iter_mut().find(|s| s.number == self.number);
        if let Some(entry) = entry.filter(|entry| entry.stage < stage) {
            (entry.stage, entry.since) = (stage, now);
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
        refused.reached(Stage::Refused, now);
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

    #[tokio::test]
    async fn an_address_with_many_has_little_time_and_handshakes_are_interrupted_last() {
        let (crowd, now) = (Arc::new(Crowd::default()), Instant::now());
        let alone = crowd.enter(address(1), now);
        let flood: Vec<_> = (0..FEW + 3).map(|_| crowd.enter(address(2), now)).collect();
        flood[0].reached(Stage::Speaking, now);
        flood[1].reached(Stage::Asked, now);
        assert!(!crowd.push_out(now));
        for next in [2, 3] {
            assert!(crowd.push_out(now + SILENCE));
            flood[next].pushed_out().await;
        }
        for other in &flood[4..] {
            other.reached(Stage::Speaking, now + SILENCE);
        }
        assert!(!crowd.push_out(now + SILENCE));
        assert!(crowd.push_out(now + HASTE));
        flood[1].pushed_out().await;
        // As few as others may have.
        assert!(!crowd.push_out(now + HASTE) && !alone.out.is_cancelled());
        assert!(crowd.push_out(now + GRACE));
        flood[0].pushed_out().await;
    }
}
