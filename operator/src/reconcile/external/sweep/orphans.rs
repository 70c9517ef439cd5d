//! Children in Kubernetes whose LiveStream is gone though nobody deleted them:
//! somebody took its finalizer off. Pure.
//!
//! For how long a LiveStream is gone this process remembers, and begins anew
//! when it is started again: they are found without any server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::View;

/// Since when LiveStreams are gone of which children are seen.
#[derive(Debug, Default)]
pub struct Orphans {
    since: HashMap<String, Instant>,
}

impl Orphans {
    /// The UIDs among `owners` that were in no view for `after`. A view that is
    /// empty, or not there, says nothing.
    pub fn due(
        &mut self,
        owners: &[String],
        present: Option<&View>,
        after: Duration,
        now: Instant,
    ) -> Vec<String> {
        let Some(view) = present.filter(|view| !view.is_empty()) else { return Vec::new() };
        self.since.retain(|uid, _| owners.contains(uid) && !view.contains(uid));
        let gone = owners.iter().filter(|uid| !view.contains(uid));
        let due = gone.filter(|uid| {
            let since = *self.since.entry((*uid).clone()).or_insert(now);
            now.saturating_duration_since(since) >= after
        });
        due.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_mins(10);

    fn view(uids: &[&str]) -> View {
        uids.iter().map(|uid| ((*uid).to_owned(), format!("a.{uid}").parse().unwrap())).collect()
    }

    /// What is due so many seconds after the beginning.
    struct Looks(Orphans, Instant);

    impl Looks {
        fn begin() -> Self {
            Self(Orphans::default(), Instant::now())
        }

        fn at(&mut self, second: u64, owners: &[&str], present: Option<&View>) -> Vec<String> {
            let owners: Vec<_> = owners.iter().map(|uid| (*uid).to_owned()).collect();
            self.0.due(&owners, present, AFTER, self.1 + Duration::from_secs(second))
        }
    }

    #[test]
    fn children_are_due_when_their_stream_was_gone_for_long_enough() {
        let (mut looks, there) = (Looks::begin(), view(&["there"]));
        let owners = ["gone", "there"];
        assert_eq!(looks.at(0, &owners, Some(&there)), [""; 0]);
        assert_eq!(looks.at(599, &owners, Some(&there)), [""; 0]);
        assert_eq!(looks.at(600, &owners, Some(&there)), ["gone"]);
        // It could not be done.
        assert_eq!(looks.at(630, &owners, Some(&there)), ["gone"]);
        assert_eq!(looks.at(660, &["there"], Some(&there)), [""; 0]);
    }

    #[test]
    fn an_empty_or_missing_view_says_nothing() {
        let mut looks = Looks::begin();
        looks.at(0, &["gone"], Some(&view(&["there"])));
        assert_eq!(looks.at(900, &["gone"], Some(&View::default())), [""; 0]);
        assert_eq!(looks.at(900, &["gone"], None), [""; 0]);
        let mut looks = Looks::begin();
        looks.at(0, &["gone"], None);
        assert_eq!(looks.at(900, &["gone"], Some(&view(&["there"]))), [""; 0]);
    }

    #[test]
    fn a_stream_that_is_found_again_begins_anew() {
        let (mut looks, other) = (Looks::begin(), view(&["there"]));
        looks.at(0, &["gone"], Some(&other));
        looks.at(500, &["gone"], Some(&view(&["gone"])));
        assert_eq!(looks.at(700, &["gone"], Some(&other)), [""; 0]);
        assert_eq!(looks.at(1_300, &["gone"], Some(&other)), ["gone"]);
    }
}
