//! Which children this process has seen to be right, and which to be absent. Of
//! many thousands the names would be most of it, so it is hashes.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Mark;
use crate::fingerprint::fingerprint;
use crate::reconcile::prepared::{ChildRef, Prepared};

/// Which children are right, and which are absent.
#[derive(Debug, Default)]
pub(super) struct Right(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Under which digest and mark a child was right.
    right: HashMap<u64, (u64, Mark)>,
    /// Children of kinds that are not watched, of which there is none.
    absent: HashSet<u64>,
}

impl Right {
    /// Whether a child was right under this mark.
    pub(super) fn holds(&self, child: &Prepared, mark: Mark) -> bool {
        self.known().right.get(&fingerprint(&child.id)) == Some(&(fingerprint(&child.digest), mark))
    }

    /// Whether it was right under any mark.
    pub(super) fn has(&self, child: &ChildRef) -> bool {
        self.known().right.contains_key(&fingerprint(child))
    }

    /// It is right under this mark.
    pub(super) fn note(&self, child: &Prepared, mark: Mark) {
        let (id, mut known) = (fingerprint(&child.id), self.known());
        known.right.insert(id, (fingerprint(&child.digest), mark));
        known.absent.remove(&id);
    }

    /// There is none.
    pub(super) fn is_gone(&self, child: &ChildRef) {
        let (id, mut known) = (fingerprint(child), self.known());
        known.right.remove(&id);
        known.absent.insert(id);
    }

    /// Whether there was none, and none was made since.
    pub(super) fn is_absent(&self, child: &ChildRef) -> bool {
        self.known().absent.contains(&fingerprint(child))
    }

    /// Nothing is known of these.
    pub(super) fn forget(&self, children: &[ChildRef]) {
        let mut known = self.known();
        for id in children.iter().map(fingerprint) {
            known.right.remove(&id);
            known.absent.remove(&id);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
