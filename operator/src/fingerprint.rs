//! 64 bits that stand for a value, where the value itself would be most of what
//! many thousands of streams take.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Of equal values the same, in one process.
pub(crate) fn fingerprint(what: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
