//! bcrypt off the runtime, a few at a time.

use std::fmt;
use std::sync::Arc;

use millrace_media::id::PublishKey;
use tokio::sync::Semaphore;

use crate::config::{Env, Problem};

/// bcrypt of a secret, as stored. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash(String);

impl KeyHash {
    /// As read from the database.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// `$2b$…`, for the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// Hashing or verifying failed; says nothing about the key.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The stored hash is none, or the cost is out of range.
    #[error("bcrypt")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// The work was lost with its thread.
    #[error("the hashing thread was lost")]
    Lost,
}

/// Hashes and verifies secrets with bounded concurrency, so that a flood of
/// publishers with unknown keys can't take all cores.
#[derive(Debug, Clone)]
pub struct Hasher {
    cost: u32,
    permits: Arc<Semaphore>,
}

impl Hasher {
    /// Enough for a secret of 256 bits that nobody can guess anyway.
    pub const DEFAULT_COST: u32 = 6;

    /// With the cost of `KEY_BCRYPT_COST`. Hashes of another cost stay good.
    pub fn read(env: &Env) -> Result<Self, Problem> {
        // The largest takes about 14 ms. More, and the time of a refusal would
        // tell which ids exist, and right keys wait too long behind wrong ones.
        env.within("KEY_BCRYPT_COST", Self::DEFAULT_COST, 4..=8).map(|cost| Self::new(cost, 2))
    }

    /// `cost` is bcrypt's (4 to 31; each step doubles the time), `concurrency`
    /// how many may run at once.
    pub fn new(cost: u32, concurrency: usize) -> Self {
        Self { cost: cost.clamp(4, 31), permits: Arc::new(Semaphore::new(concurrency.max(1))) }
    }

    /// The hash of a key's secret.
    pub async fn hash(&self, key: &PublishKey) -> Result<KeyHash, HashError> {
        let (secret, cost) = (key.secret().to_owned(), self.cost);
        self.run(move || bcrypt::hash(secret, cost)).await.map(KeyHash)
    }

    /// Whether the key's secret is the one of this hash.
    pub async fn verify(&self, key: &PublishKey, hash: &KeyHash) -> Result<bool, HashError> {
        let (secret, hash) = (key.secret().to_owned(), hash.0.clone());
        self.run(move || bcrypt::verify(secret, &hash)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, HashError> {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|_| HashError::Lost)?;
        let done = tokio::task::spawn_blocking(move || {
            let _held_while_working = permit;
            work()
        });
        Ok(done.await.map_err(|_| HashError::Lost)??)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new(Self::DEFAULT_COST, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_knows_its_own_secret_and_no_other() {
        let hasher = Hasher::new(4, 1);
        let key = crate::keys::generate(&mut rand::rng()).unwrap();
        let other = crate::keys::generate(&mut rand::rng()).unwrap();
        let hash = hasher.hash(&key).await.unwrap();
        assert!(hasher.verify(&key, &hash).await.unwrap());
        assert!(!hasher.verify(&other, &hash).await.unwrap());
        assert!(!format!("{hash:?}").contains(hash.as_str()));
    }

    #[tokio::test]
    async fn the_cost_is_a_setting() {
        let key = crate::keys::generate(&mut rand::rng()).unwrap();
        for (cost, start) in [("4", "$2b$04$"), ("7", "$2b$07$")] {
            let hasher = Hasher::read(&Env::from_pairs([("KEY_BCRYPT_COST", cost)])).unwrap();
            assert!(hasher.hash(&key).await.unwrap().as_str().starts_with(start));
        }
        assert!(Hasher::read(&Env::from_pairs([("KEY_BCRYPT_COST", "9")])).is_err());
    }
}
