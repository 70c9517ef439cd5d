//! Answers that are remembered for a short while, by whoever asked for them:
//! good ones longer than bad ones, and no more than fit.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

/// A good answer is taken for so long.
const GOOD: Duration = Duration::from_secs(30);
/// A bad one for so long: the right may have been given since.
const BAD: Duration = Duration::from_secs(5);
/// Answers kept.
const MOST: u64 = 10_000;

/// An answer that is good or bad.
pub trait Verdict: Clone + Send + Sync + 'static {
    /// Which.
    fn is_good(&self) -> bool;
}

impl Verdict for bool {
    fn is_good(&self) -> bool {
        *self
    }
}

impl<T: Send + Sync + 'static> Verdict for Option<Arc<T>> {
    fn is_good(&self) -> bool {
        self.is_some()
    }
}

struct Life;

impl<K, V: Verdict> Expiry<K, V> for Life {
    fn expire_after_create(&self, _: &K, answer: &V, _: Instant) -> Option<Duration> {
        Some(if answer.is_good() { GOOD } else { BAD })
    }
}

/// The answers.
#[derive(Clone)]
pub struct Brief<K, V>(Cache<K, V>);

impl<K, V> fmt::Debug for Brief<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brief")
    }
}

impl<K: Eq + Hash + Send + Sync + 'static, V: Verdict> Brief<K, V> {
    /// None yet.
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).expire_after(Life).build())
    }

    /// The answer, remembered or asked for; those who ask at once ask once.
    pub async fn get<E: Send + Sync + 'static>(
        &self,
        question: K,
        ask: impl Future<Output = Result<V, E>>,
    ) -> Result<V, Arc<E>> {
        self.0.try_get_with(question, ask).await
    }
}

impl<K: Eq + Hash + Send + Sync + 'static, V: Verdict> Default for Brief<K, V> {
    fn default() -> Self {
        Self::new()
    }
}
