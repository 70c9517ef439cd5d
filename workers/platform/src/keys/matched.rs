//! Which hashes this process has seen to be a key's: bcrypt is asked once for
//! each, not every time a stream is looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_media::id::{KeyId, PublishKey};

use super::{KeyHash, SecretDigest};

/// Keys remembered; beyond that all are forgotten and asked for again.
const MOST: usize = 50_000;

/// Clones share what is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Matched(Arc<Mutex<HashMap<KeyId, (SecretDigest, KeyHash)>>>);

impl Matched {
    /// Whether the hash is known to be this key's.
    pub(super) fn knows(&self, key: &PublishKey, hash: &KeyHash) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key.id()).is_some_and(|(digest, of)| of == hash && digest.is_of(key))
    }

    /// The hash is this key's.
    pub(super) fn note(&self, key: &PublishKey, hash: &KeyHash) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key.id().clone(), (SecretDigest::of(key), hash.clone()));
    }

    /// The key is no more.
    pub(super) fn forget(&self, id: &KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_known_for_the_secret_it_was_noted_with_and_no_other() {
        let key = super::super::generate(&mut rand::rng()).unwrap();
        let hash = super::super::Hasher::new(4, 1).hash(&key).await.unwrap();
        let matched = Matched::default();
        assert!(!matched.knows(&key, &hash));
        matched.note(&key, &hash);
        assert!(matched.clone().knows(&key, &hash));
        let other = PublishKey::new(key.id().clone(), "0123456789abcdef".to_owned()).unwrap();
        assert!(!matched.knows(&other, &hash));
        let again = super::super::Hasher::new(4, 1).hash(&key).await.unwrap();
        assert!(!matched.knows(&key, &again), "another row");
        matched.forget(key.id());
        assert!(!matched.knows(&key, &hash));
    }
}
