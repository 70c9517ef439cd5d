//! What is to be swept. Pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::postgres::registry::{Keep, Registered, Registration};

/// The LiveStreams there are, from a watch that has seen all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    streams: HashMap<String, StreamId>,
    deleted: HashMap<String, Keep>,
}

impl View {
    /// With the UIDs whose deletion this process has carried through, and what
    /// was to be kept of each.
    #[must_use]
    pub fn and_deleted(self, deleted: HashMap<String, Keep>) -> Self {
        Self { deleted, ..self }
    }

    /// Whether that this UID is not among the streams can be believed. A list
    /// without any says nothing by itself: who sees no LiveStream at all looks
    /// in the wrong place more often than not.
    fn shows_absence_of(&self, uid: &str) -> bool {
        !self.is_empty() || self.deleted.contains_key(uid)
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// There is one with this UID.
    pub fn contains(&self, uid: &str) -> bool {
        self.streams.contains_key(uid)
    }

    /// What is to be kept of one, as its LiveStream said when it was deleted.
    pub(super) fn keeps(&self, uid: &str) -> Option<Keep> {
        self.deleted.get(uid).copied()
    }

    fn names(&self) -> HashSet<&StreamId> {
        self.streams.values().collect()
    }
}

/// From their UIDs and names.
impl FromIterator<(String, StreamId)> for View {
    fn from_iter<I: IntoIterator<Item = (String, StreamId)>>(all: I) -> Self {
        Self { streams: all.into_iter().collect(), deleted: HashMap::new() }
    }
}

/// What to do about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Note that this UID is not found.
    NoteAbsent(String),
    /// Note that this UID is found again.
    NotePresent(String),
    /// Only the row goes: another LiveStream has the name, or had it later, and
    /// all that belongs to the name.
    Forget(Registration),
    /// Everything goes that is not to be kept.
    Sweep(Registration),
}

/// What is to be done about these rows; nothing while there is no view.
pub fn decide(rows: &[Registered], present: Option<&View>, after: Duration) -> Vec<Action> {
    let Some(view) = present else { return Vec::new() };
    let names = view.names();
    let mut last = HashMap::new();
    for row in rows {
        let last = last.entry(&row.livestream.stream).or_insert(row);
        if recency(row) > recency(last) {
            *last = row;
        }
    }
    let had_it_later = |row: &Registered| last.get(&row.livestream.stream) != Some(&row);
    let action = |row: &Registered| {
        let livestream = &row.livestream;
        match (view.contains(&livestream.uid), row.absent) {
            (true, None) => None,
            (true, Some(_)) => Some(Action::NotePresent(livestream.uid.clone())),
            (false, _) if !view.shows_absence_of(&livestream.uid) => None,
            (false, None) => Some(Action::NoteAbsent(livestream.uid.clone())),
            (false, Some(absent)) if absent < after => None,
            (false, Some(_)) if names.contains(&livestream.stream) || had_it_later(row) => {
                Some(Action::Forget(livestream.clone()))
            }
            (false, Some(_)) => Some(Action::Sweep(livestream.clone())),
        }
    };
    rows.iter().filter_map(action).collect()
}

/// The greatest is the row of the LiveStream that had a name last; of two that
/// are the same, of which more is kept.
fn recency(row: &Registered) -> impl Ord {
    let gone = Reverse(row.absent.unwrap_or_default());
    (gone, row.livestream.keep == Keep::Retain, &row.livestream.uid)
}

#[cfg(test)]
mod tests {
    use millrace_platform::postgres::registry::Keep;

    use super::*;

    const AFTER: Duration = Duration::from_mins(10);

    fn row(uid: &str, stream: &str, absent_s: Option<u64>) -> Registered {
        Registered {
            livestream: Registration {
                uid: uid.to_owned(),
                stream: stream.parse().unwrap(),
                broadcaster: "acme".to_owned(),
                keep: Keep::Retain,
            },
            absent: absent_s.map(Duration::from_secs),
        }
    }

    fn view(all: &[(&str, &str)]) -> View {
        all.iter().map(|(uid, stream)| ((*uid).to_owned(), stream.parse().unwrap())).collect()
    }

    #[test]
    fn one_that_is_not_found_is_noted_waited_for_and_swept() {
        let other = view(&[("b", "a.other")]);
        let decide = |absent| decide(&[row("a", "a.one", absent)], Some(&other), AFTER);
        assert_eq!(decide(None), [Action::NoteAbsent("a".to_owned())]);
        assert_eq!(decide(Some(599)), []);
        assert_eq!(decide(Some(600)), [Action::Sweep(row("a", "a.one", None).livestream)]);
    }

    #[test]
    fn one_that_is_found_again_is_left_alone_however_late() {
        let there = view(&[("a", "a.one")]);
        assert_eq!(decide(&[row("a", "a.one", None)], Some(&there), AFTER), []);
        let late = decide(&[row("a", "a.one", Some(9_999))], Some(&there), AFTER);
        assert_eq!(late, [Action::NotePresent("a".to_owned())]);
    }

    #[test]
    fn an_empty_or_missing_view_says_nothing() {
        let rows = [row("a", "a.one", Some(9_999)), row("b", "a.two", None)];
        assert_eq!(decide(&rows, None, AFTER), []);
        assert_eq!(decide(&rows, Some(&View::default()), AFTER), []);
    }

    #[test]
    fn the_last_one_is_swept_when_its_deletion_was_seen() {
        let empty = View::default().and_deleted([("a".to_owned(), Keep::Retain)].into());
        let decide = |uid, absent| decide(&[row(uid, "a.one", absent)], Some(&empty), AFTER);
        assert_eq!(decide("a", None), [Action::NoteAbsent("a".to_owned())]);
        assert_eq!(decide("a", Some(600)), [Action::Sweep(row("a", "a.one", None).livestream)]);
        assert_eq!(decide("b", None), []);
        assert_eq!(decide("b", Some(600)), []);
    }

    #[test]
    fn what_belongs_to_a_name_stays_with_the_name() {
        let again = view(&[("new", "a.one")]);
        let rows = [row("new", "a.one", None), row("old", "a.one", Some(600))];
        let old = row("old", "a.one", None).livestream;
        assert_eq!(decide(&rows, Some(&again), AFTER), [Action::Forget(old)]);
    }

    #[test]
    fn of_several_that_had_a_name_the_last_says_what_becomes_of_it() {
        let other = view(&[("b", "a.other")]);
        let livestream = |uid| row(uid, "a.one", None).livestream;
        let mut rows = [row("old", "a.one", Some(700)), row("new", "a.one", Some(60))];
        let forget = || Action::Forget(livestream("old"));
        assert_eq!(decide(&rows, Some(&other), AFTER), [forget()]);
        rows[1].absent = None;
        let lost = Action::NoteAbsent("new".to_owned());
        assert_eq!(decide(&rows, Some(&other), AFTER), [forget(), lost]);
        rows[1].absent = Some(Duration::from_secs(650));
        let sweep = Action::Sweep(livestream("new"));
        assert_eq!(decide(&rows, Some(&other), AFTER), [forget(), sweep]);
        rows.reverse();
        rows[0].absent = rows[1].absent;
        rows[0].livestream.keep = Keep::Delete;
        let kept = [Action::Forget(rows[0].livestream.clone()), Action::Sweep(livestream("old"))];
        assert_eq!(decide(&rows, Some(&other), AFTER), kept);
    }
}
