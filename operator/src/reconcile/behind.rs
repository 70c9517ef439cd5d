//! LiveStreams that were written and of which the watch has not brought the
//! write yet. Who reconciled by the old one would write the same again, with
//! another time in it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::fingerprint::fingerprint;

/// A watch that is later than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The streams that were written to, by UID.
#[derive(Debug, Default)]
pub struct Behind(Mutex<HashMap<u64, Written>>);

/// A stream, with hashes of its versions.
#[derive(Debug)]
struct Written {
    /// Those that it has no more.
    olds: Vec<u64>,
    now: u64,
    at: Instant,
}

impl Behind {
    /// `before`, or what was made of it since, became `after`.
    pub fn note(&self, before: &ObjectMeta, after: &ObjectMeta) {
        let old = fingerprint(&before.resource_version);
        let now = fingerprint(&after.resource_version);
        if old == now {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        match all.entry(fingerprint(&before.uid)) {
            Entry::Vacant(entry) => {
                entry.insert(Written { olds: vec![old], now, at });
            }
            Entry::Occupied(mut entry) => {
                let written = entry.get_mut();
                written.olds.push(std::mem::replace(&mut written.now, now));
                written.at = at;
            }
        }
    }

    /// This is what was written to, not what became of it.
    pub fn is(&self, seen: &ObjectMeta) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = fingerprint(&seen.uid);
        let Some(written) = all.get(&uid) else { return false };
        let seen = fingerprint(&seen.resource_version);
        let behind = written.olds.contains(&seen) && written.at.elapsed() < PATIENCE;
        if !behind {
            all.remove(&uid);
        }
        behind
    }

    /// The stream of this UID is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&fingerprint(&Some(uid)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("1".to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_stream_is_behind_until_another_version_of_it_is_seen() {
        let behind = Behind::default();
        assert!(!behind.is(&version("5")));
        behind.note(&version("5"), &version("5"));
        assert!(!behind.is(&version("5")), "nothing was written");
        behind.note(&version("5"), &version("6"));
        behind.note(&version("5"), &version("7"));
        assert!(behind.is(&version("5")) && behind.is(&version("6")) && behind.is(&version("5")));
        assert!(!behind.is(&version("7")));
        assert!(!behind.is(&version("5")), "what came once is not waited for again");
    }
}
