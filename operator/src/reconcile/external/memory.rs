//! What this process has seen to be so, for a while: so that five hundred
//! streams that are looked at again cost the services nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Known<K, V> = HashMap<K, (V, Instant)>;

/// Clones share it.
#[derive(Debug)]
pub(super) struct Memory<K, V>(Arc<Mutex<Known<K, V>>>);

impl<K, V> Clone for Memory<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash, V: PartialEq> Memory<K, V> {
    fn known(&self) -> MutexGuard<'_, Known<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was seen to be so, less than `life` before `now`.
    pub(super) fn holds(&self, key: &K, value: &V, life: Duration, now: Instant) -> bool {
        self.known()
            .get(key)
            .is_some_and(|(seen, at)| seen == value && now.saturating_duration_since(*at) < life)
    }

    /// It is so.
    pub(super) fn note(&self, key: K, value: V, now: Instant) {
        self.known().insert(key, (value, now));
    }

    /// It was otherwise at this moment, for all that was seen before.
    pub(super) fn forget_before<Q: ?Sized + Eq + Hash>(&self, key: &Q, moment: Instant)
    where
        K: std::borrow::Borrow<Q>,
    {
        let mut known = self.known();
        if known.get(key).is_some_and(|(_, at)| *at < moment) {
            known.remove(key);
        }
    }

    /// It may be otherwise by now.
    pub(super) fn forget<Q: ?Sized + Eq + Hash>(&self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
    {
        self.known().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_holds_for_a_while_and_for_nothing_else() {
        let memory = Memory::<String, u32>::default();
        let (now, life) = (Instant::now(), Duration::from_secs(10));
        let key = "a".to_owned();
        assert!(!memory.holds(&key, &1, life, now));
        memory.note(key.clone(), 1, now);
        assert!(memory.clone().holds(&key, &1, life, now));
        assert!(!memory.holds(&key, &2, life, now));
        assert!(!memory.holds(&key, &1, life, now + life));
        memory.forget_before("a", now);
        assert!(memory.holds(&key, &1, life, now), "it was seen later");
        memory.forget_before("a", now + life);
        assert!(!memory.holds(&key, &1, life, now));
        memory.note(key.clone(), 1, now);
        memory.forget("a");
        assert!(!memory.holds(&key, &1, life, now));
    }
}
