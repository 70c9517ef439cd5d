//! Runs that are claimed ahead. Pure.

use std::collections::VecDeque;

use millrace_media::id::{BroadcastId, Run};

/// How many are: a base, an encoder or the end of a broadcast needs one.
const SPARES: usize = 4;

/// Of one broadcast, lowest first.
#[derive(Debug, Default)]
pub(super) struct Spares {
    broadcast: Option<BroadcastId>,
    runs: VecDeque<Run>,
}

impl Spares {
    /// Keeps those of this broadcast above a run that is used now; says which
    /// is the highest of all these.
    pub(super) fn keep(&mut self, broadcast: BroadcastId, used: Run) -> Run {
        if self.broadcast.replace(broadcast) != Some(broadcast) {
            self.runs.clear();
        }
        self.runs.retain(|run| *run > used);
        self.runs.back().copied().unwrap_or(used)
    }

    /// Whether more are to be claimed for this broadcast.
    pub(super) fn lack(&self, broadcast: BroadcastId) -> bool {
        self.broadcast == Some(broadcast) && self.runs.len() < SPARES
    }

    /// Another one. Runs only go up: one that is not above the others is left.
    pub(super) fn add(&mut self, broadcast: BroadcastId, run: Run) {
        if self.lack(broadcast) && self.runs.back().is_none_or(|last| *last < run) {
            self.runs.push_back(run);
        }
    }

    /// The lowest of this broadcast above the highest that was used.
    pub(super) fn take(&mut self, broadcast: BroadcastId, used: Option<Run>) -> Option<Run> {
        if self.broadcast != Some(broadcast) {
            return None;
        }
        self.runs.retain(|run| used.is_none_or(|used| *run > used));
        self.runs.pop_front()
    }

    /// Throws all away.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn spares_are_of_one_broadcast_and_only_go_up() {
        let [one, other] = [1, 2].map(|n| BroadcastId(Uuid::from_u128(n)));
        let mut spares = Spares::default();
        assert_eq!(spares.keep(one, Run(3)), Run(3));
        for run in [4, 5, 5, 2, 6, 7, 8] {
            spares.add(one, Run(run));
        }
        spares.add(other, Run(9));
        assert!(!spares.lack(one) && !spares.lack(other));
        assert_eq!(spares.take(other, None), None);
        assert_eq!(spares.take(one, Some(Run(3))), Some(Run(4)));
        assert_eq!(spares.take(one, Some(Run(5))), Some(Run(6)), "5 is not above what was used");
        assert_eq!(spares.keep(one, Run(6)), Run(7));
        assert_eq!(spares.keep(other, Run(1)), Run(1));
        assert_eq!(spares.take(other, None), None);
    }
}
