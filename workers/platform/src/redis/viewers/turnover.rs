//! How many viewers came, went and changed rungs: counted in Redis by what
//! changes the set, so that whoever reads it twice knows what happened between,
//! however many readers there are.

use std::collections::BTreeMap;

use millrace_media::id::RenditionName;
use serde::{Deserialize, Serialize};

/// Counts since a moment; by default there is none to count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turnover {
    /// When counting began: another one after Redis has forgotten the stream,
    /// 0 when nobody has come since.
    pub since: u64,
    /// Visits that began.
    pub joined: u64,
    /// Visits that are over.
    pub left: u64,
    /// Changes of rungs.
    pub moved: Vec<Moved>,
}

/// Changes from one rung to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The rung until then.
    pub from: RenditionName,
    /// The rung from then on.
    pub to: RenditionName,
    /// How many.
    pub count: u64,
}

impl Turnover {
    /// From the fields of its hash.
    pub(super) fn read(fields: &BTreeMap<String, u64>) -> Self {
        let count = |name: &str| fields.get(name).copied().unwrap_or_default();
        let moved = |(name, count): (&String, &u64)| {
            let (from, to) = name.split_once('>')?;
            Some(Moved { from: from.parse().ok()?, to: to.parse().ok()?, count: *count })
        };
        Self {
            since: count("since"),
            joined: count("joined"),
            left: count("left"),
            moved: fields.iter().filter_map(moved).collect(),
        }
    }

    /// What happened after `earlier`; none where that can't be known, because
    /// Redis has forgotten the stream in between or was restored.
    #[must_use]
    pub fn after(&self, earlier: &Self) -> Option<Self> {
        let nothing = Self::default();
        let earlier = if earlier.since == 0 { &nothing } else { earlier };
        if earlier.since != 0 && self.since != earlier.since {
            return None;
        }
        let mut moved = Vec::new();
        for now in &self.moved {
            let then = earlier.moved.iter().find(|then| then.from == now.from && then.to == now.to);
            let count = now.count.checked_sub(then.map_or(0, |then| then.count))?;
            if count > 0 {
                moved.push(Moved { count, ..now.clone() });
            }
        }
        Some(Self {
            since: self.since,
            joined: self.joined.checked_sub(earlier.joined)?,
            left: self.left.checked_sub(earlier.left)?,
            moved,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, u64)]) -> Turnover {
        Turnover::read(&fields.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect())
    }

    #[test]
    fn what_happened_between_two_looks_is_their_difference() {
        let early = read(&[("since", 7), ("joined", 3), ("720p>480p", 1)]);
        let late = [("since", 7), ("joined", 5), ("left", 4), ("720p>480p", 1), ("480p>720p", 2)];
        let between = read(&late).after(&early).unwrap();
        assert_eq!((between.joined, between.left), (2, 4));
        let [moved] = &between.moved[..] else { panic!("{between:?}") };
        assert_eq!((moved.from.as_str(), moved.to.as_str(), moved.count), ("480p", "720p", 2));
        assert_eq!(early.after(&Turnover::default()), Some(early), "the first viewers");
    }

    #[test]
    fn after_redis_forgot_the_stream_there_is_no_difference() {
        let early = read(&[("since", 7), ("joined", 3)]);
        for late in [&[("since", 70), ("joined", 5)][..], &[("since", 7), ("joined", 2)], &[]] {
            assert_eq!(read(late).after(&early), None, "{late:?}");
        }
    }
}
