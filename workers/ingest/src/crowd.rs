//! The connections that do not publish, oldest first. When there are as many
//! connections as allowed, the oldest of these gives way: strangers who hold
//! theirs open must not keep a publisher out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct Inner {
    entered: u64,
    strangers: VecDeque<(u64, CancellationToken)>,
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
    pub(crate) fn enter(self: &Arc<Self>) -> Stranger {
        let out = CancellationToken::new();
        let mut inner = self.lock();
        inner.entered += 1;
        let number = inner.entered;
        inner.strangers.push_back((number, out.clone()));
        drop(inner);
        Stranger { crowd: Arc::clone(self), number, out }
    }

    /// Tells the oldest to go; false if nobody is left.
    pub(crate) fn push_out(&self) -> bool {
        let oldest = self.lock().strangers.pop_front();
        oldest.is_some_and(|(_, out)| {
            out.cancel();
            true
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stranger {
    /// Resolves when it is to go.
    pub(crate) async fn pushed_out(&self) {
        self.out.cancelled().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.crowd.lock().strangers.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_stranger_goes_first_and_who_publishes_stays() {
        let crowd = Arc::new(Crowd::default());
        let (publisher, second, third) = (crowd.enter(), crowd.enter(), crowd.enter());
        let out = publisher.out.clone();
        drop(publisher);
        assert!(crowd.push_out());
        second.pushed_out().await;
        assert!(crowd.push_out());
        third.pushed_out().await;
        assert!(!crowd.push_out() && !out.is_cancelled());
    }
}
