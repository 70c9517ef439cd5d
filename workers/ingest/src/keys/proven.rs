//! Secrets that bcrypt has found right, so that it is asked once per key: a
//! right one is known again by its SHA-256, and then any other is wrong.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace_media::id::{KeyId, PublishKey};
use millrace_platform::keys::{KeyHash, SecretDigest};

/// Keys remembered; a stream has few.
const MAX: usize = 256;

type Right = (KeyHash, SecretDigest);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Proven {
    keys: Mutex<HashMap<KeyId, Right>>,
}

impl Proven {
    /// Whether the key was right when bcrypt was last asked about its id.
    pub(super) fn knows(&self, key: &PublishKey) -> bool {
        self.lock().get(key.id()).is_some_and(|(_, right)| right.is_of(key))
    }

    /// Whether the key is the one of this hash, if that is known.
    pub(super) fn is_right(&self, key: &PublishKey, hash: &KeyHash) -> Option<bool> {
        let keys = self.lock();
        let (of, right) = keys.get(key.id())?;
        (of == hash).then(|| right.is_of(key))
    }

    /// bcrypt says that the key is the one of this hash.
    pub(super) fn note(&self, key: &PublishKey, hash: &KeyHash) {
        let mut keys = self.lock();
        if keys.len() >= MAX {
            keys.clear();
        }
        keys.insert(key.id().clone(), (hash.clone(), SecretDigest::of(key)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, Right>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> PublishKey {
        PublishKey::new("abcd".parse().unwrap(), secret.to_owned()).unwrap()
    }

    #[test]
    fn a_proven_key_makes_others_of_its_id_wrong_until_the_hash_changes() {
        let (right, wrong) = (key("0123456789abcdef"), key("0123456789abcdeX"));
        let [hash, other] = ["$2b$a", "$2b$b"].map(|h| KeyHash::from_stored(h.to_owned()));
        let proven = Proven::default();
        assert_eq!(proven.is_right(&right, &hash), None);
        assert!(!proven.knows(&right));
        proven.note(&right, &hash);
        assert_eq!(proven.is_right(&right, &hash), Some(true));
        assert_eq!(proven.is_right(&wrong, &hash), Some(false));
        assert_eq!(proven.is_right(&wrong, &other), None);
        assert!(proven.knows(&right) && !proven.knows(&wrong));
    }
}
