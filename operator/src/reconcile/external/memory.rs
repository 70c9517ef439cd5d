//! What this process has seen to be so, for a while: so that five hundred
//! streams that are looked at again cost the services nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fingerprint::fingerprint;

/// Clones share it. Fingerprints alone are kept, of names as well.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<u64, (u64, Instant)>>>);

impl Memory {
    fn known(&self) -> MutexGuard<'_, HashMap<u64, (u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was seen to be so, less than `life` before `now`.
    pub(super) fn holds(
        &self,
        key: &(impl Hash + ?Sized),
        value: &impl Hash,
        life: Duration,
        now: Instant,
    ) -> bool {
        self.known().get(&fingerprint(key)).is_some_and(|(seen, at)| {
            *seen == fingerprint(value) && now.saturating_duration_since(*at) < life
        })
    }

    /// It is so.
    pub(super) fn note(&self, key: &(impl Hash + ?Sized), value: &impl Hash, now: Instant) {
        self.known().insert(fingerprint(key), (fingerprint(value), now));
    }

    /// It was otherwise at this moment, for all that was seen before; whether
    /// something was.
    pub(super) fn forget_before(&self, key: &(impl Hash + ?Sized), moment: Instant) -> bool {
        let (key, mut known) = (fingerprint(key), self.known());
        let before = known.get(&key).is_some_and(|(_, at)| *at < moment);
        before && known.remove(&key).is_some()
    }

    /// It may be otherwise by now.
    pub(super) fn forget(&self, key: &(impl Hash + ?Sized)) {
        self.known().remove(&fingerprint(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_holds_for_a_while_and_for_nothing_else() {
        let memory = Memory::default();
        let (now, life) = (Instant::now(), Duration::from_secs(10));
        let key = "a";
        assert!(!memory.holds(key, &1, life, now));
        memory.note(key, &1, now);
        assert!(memory.clone().holds(key, &1, life, now));
        assert!(!memory.holds(key, &2, life, now));
        assert!(!memory.holds(key, &1, life, now + life));
        assert!(!memory.forget_before("a", now));
        assert!(memory.holds(key, &1, life, now), "it was seen later");
        assert!(memory.forget_before("a", now + life));
        assert!(!memory.forget_before("a", now + life), "no more");
        assert!(!memory.holds(key, &1, life, now));
        memory.note(key, &1, now);
        memory.forget("a");
        assert!(!memory.holds(key, &1, life, now));
    }
}
