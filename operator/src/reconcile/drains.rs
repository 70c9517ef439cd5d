//! Nodes that are being emptied: which, and since when. Of all others nothing
//! is kept.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

/// A node that is being emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emptying {
    /// Since when, in whole seconds, and never later than it was first seen:
    /// the cluster's clock may be ahead of ours.
    pub since: Timestamp,
    /// What the Node says of that; none when it says no time: then another
    /// process will have seen it since another moment.
    pub told: Option<Timestamp>,
}

impl Emptying {
    /// When it has been so for `timeout`.
    pub fn is_due_at(&self, timeout: Duration) -> Timestamp {
        self.since.saturating_add(timeout).unwrap_or(Timestamp::MAX)
    }
}

/// All of them, by name. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drains(Arc<watch::Sender<BTreeMap<String, Emptying>>>);

impl Drains {
    /// What is known of a node; none when it is not being emptied.
    pub fn get(&self, node: &str) -> Option<Emptying> {
        self.0.borrow().get(node).copied()
    }

    /// All of them, now and whenever one begins or ends.
    pub fn follow(&self) -> watch::Receiver<BTreeMap<String, Emptying>> {
        self.0.subscribe()
    }

    /// A node is being emptied, since `told` if it says when. Whether that is
    /// news.
    pub fn note(&self, node: &str, told: Option<Timestamp>, now: Timestamp) -> bool {
        self.0.send_if_modified(|all| {
            let since = match (told, all.get(node)) {
                (told, Some(held)) if told == held.told || told.is_none() => held.since,
                (Some(told), _) => whole(told.min(now)),
                (None, _) => whole(now),
            };
            let new = Emptying { since, told };
            all.insert(node.to_owned(), new) != Some(new)
        })
    }

    /// A node is not being emptied. Whether that is news.
    pub fn end(&self, node: &str) -> bool {
        self.0.send_if_modified(|all| all.remove(node).is_some())
    }

    /// Only the listed nodes are there; those that are not known any more.
    pub fn retain(&self, listed: &HashSet<String>) -> Vec<String> {
        let mut ended = Vec::new();
        self.0.send_if_modified(|all| {
            ended = all.keys().filter(|node| !listed.contains(*node)).cloned().collect();
            all.retain(|node, _| listed.contains(node));
            !ended.is_empty()
        });
        ended
    }
}

fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn since(drains: &Drains) -> Option<i64> {
        drains.get("n").map(|emptying| emptying.since.as_second())
    }

    #[test]
    fn a_node_is_emptied_since_it_says_and_else_since_it_was_seen() {
        let drains = Drains::default();
        assert!(drains.note("n", None, time(100)));
        assert!(!drains.note("n", None, time(130)), "no news");
        assert_eq!(since(&drains), Some(100));
        // The taint comes a moment after the flag.
        assert!(drains.note("n", Some(time(99)), time(131)));
        assert_eq!(since(&drains), Some(99));
        assert!(drains.end("n") && !drains.end("n"));
        assert_eq!(since(&drains), None);
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nobody_wait_longer() {
        let drains = Drains::default();
        drains.note("n", Some(time(500)), time(100));
        drains.note("n", Some(time(500)), time(400));
        assert_eq!(since(&drains), Some(100));
        let due = drains.get("n").unwrap().is_due_at(Duration::from_mins(5));
        assert_eq!(due, time(400));
    }

    #[test]
    fn another_drain_that_was_begun_unseen_counts_anew() {
        let drains = Drains::default();
        drains.note("n", Some(time(100)), time(100));
        drains.note("n", Some(time(800)), time(900));
        assert_eq!(since(&drains), Some(800));
    }

    #[test]
    fn what_a_list_lacks_is_forgotten() {
        let drains = Drains::default();
        drains.note("n", None, time(1));
        drains.note("other", None, time(1));
        assert_eq!(drains.retain(&HashSet::from(["other".to_owned()])), ["n"]);
        assert_eq!((since(&drains), drains.get("other").is_some()), (None, true));
    }
}
