//! The children of one stream, by what they are. A list: they are a handful,
//! and a map would have room for many more.

use super::SeenChild;
use crate::reconcile::prepared::ChildRef;

/// The children of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenChildren(Vec<(ChildRef, SeenChild)>);

impl SeenChildren {
    /// None is seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of them.
    pub fn get(&self, child: &ChildRef) -> Option<&SeenChild> {
        self.iter().find(|(held, _)| *held == child).map(|(_, seen)| seen)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&ChildRef, &SeenChild)> {
        self.0.iter().map(|(child, seen)| (child, seen))
    }

    /// What they are.
    pub fn refs(&self) -> impl Iterator<Item = &ChildRef> {
        self.0.iter().map(|(child, _)| child)
    }

    /// Keep what is seen of one; whether it is news.
    pub fn keep(&mut self, child: ChildRef, new: SeenChild) -> bool {
        match self.0.iter_mut().find(|(held, _)| *held == child) {
            Some((_, seen)) if *seen == new => false,
            Some((_, seen)) => {
                *seen = new;
                true
            }
            None => {
                self.0.reserve_exact(1);
                self.0.push((child, new));
                true
            }
        }
    }

    /// Forget those for which this is not so; whether there was one.
    pub fn retain(&mut self, mut stays: impl FnMut(&ChildRef, &SeenChild) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|(child, seen)| stays(child, seen));
        self.0.len() != before
    }

    /// Forget one; whether it was there.
    pub fn remove(&mut self, child: &ChildRef) -> bool {
        self.retain(|held, _| held != child)
    }
}
