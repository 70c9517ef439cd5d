//! Which changes of LiveStreams matter: our own writes of status don't.

use std::collections::{HashMap, HashSet};

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use crate::api::LiveStream;
use crate::fingerprint::fingerprint;
use crate::reconcile::status::table;

/// What is known of the streams of one watch.
#[derive(Debug, Default)]
pub(super) struct Changes {
    known: HashMap<String, Known>,
    /// Seen in a list that is not complete: until then the store has the old ones.
    listed: Vec<ObjectRef<LiveStream>>,
}

/// What an event of the watch means.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Streams to be reconciled.
    pub(super) wanted: Vec<ObjectRef<LiveStream>>,
    /// Streams that are gone, with their UIDs.
    pub(super) gone: Vec<(String, ObjectRef<LiveStream>)>,
    /// A list is complete.
    pub(super) is_listed: bool,
}

impl Changes {
    /// What an event means that is in the store by now.
    pub(super) fn note(&mut self, event: &Event<LiveStream>, store: &Store<LiveStream>) -> News {
        let mut news = News::default();
        match event {
            Event::Apply(stream) => news.wanted = self.changed(stream, store),
            Event::Delete(stream) => {
                let uid = stream.uid().unwrap_or_default();
                self.known.remove(&uid);
                news.gone.push((uid, ObjectRef::from_obj(stream)));
                let host = stream.spec.playback.hostname.as_deref();
                news.wanted = about_hosts(store, host.as_slice());
            }
            // What a list that broke off has shown is still to be looked at.
            Event::Init => {}
            Event::InitApply(stream) => {
                let changed = self.changed(stream, store);
                self.listed.extend(changed);
            }
            Event::InitDone => {
                news.is_listed = true;
                news.wanted = std::mem::take(&mut self.listed);
                let there: HashSet<_> = store.state().iter().filter_map(|s| s.uid()).collect();
                // They went while the watch was away.
                let gone: Vec<_> = self.known.extract_if(|uid, _| !there.contains(uid)).collect();
                if !gone.is_empty() {
                    let hosts: Vec<_> =
                        gone.iter().filter_map(|(_, known)| known.host.as_deref()).collect();
                    news.wanted.extend(about_hosts(store, &hosts));
                }
                news.gone = gone.into_iter().map(|(uid, known)| (uid, known.stream)).collect();
            }
        }
        news
    }

    fn changed(
        &mut self,
        stream: &LiveStream,
        store: &Store<LiveStream>,
    ) -> Vec<ObjectRef<LiveStream>> {
        let now = Known::of(stream);
        let before = self.known.insert(stream.uid().unwrap_or_default(), now.clone());
        if before.as_ref() == Some(&now) {
            return Vec::new();
        }
        let both = [Some(&now), before.as_ref()].into_iter().flatten();
        let hosts: Vec<&str> = both.filter_map(|known| known.host.as_deref()).collect();
        let mut wanted = Vec::new();
        if !hosts.is_empty() {
            wanted = about_hosts(store, &hosts);
            wanted.retain(|one| *one != now.stream);
        }
        wanted.push(now.stream);
        wanted
    }
}

/// What is known of a stream, to tell whether a change matters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    stream: ObjectRef<LiveStream>,
    digest: u64,
    host: Option<String>,
}

impl Known {
    fn of(stream: &LiveStream) -> Self {
        Self {
            // Of `from_obj` most would be its version, which nobody reads.
            stream: ObjectRef::new(&stream.name_any())
                .within(&stream.namespace().unwrap_or_default()),
            digest: digest(stream),
            host: stream.spec.playback.hostname.clone(),
        }
    }
}

fn digest(stream: &LiveStream) -> u64 {
    let metadata = &stream.metadata;
    let goes = metadata.deletion_timestamp.is_some();
    fingerprint(&(metadata.generation, goes, &metadata.annotations, &metadata.finalizers))
}

/// Streams that may get a host name that another has given up, and those that
/// ask for one of these, which an older stream may have taken from them.
fn about_hosts(store: &Store<LiveStream>, hosts: &[&str]) -> Vec<ObjectRef<LiveStream>> {
    let taken = table::HOST_TAKEN.reason;
    let waits = |stream: &LiveStream| {
        let conditions = stream.status.as_ref().map(|status| status.conditions.as_slice());
        let asks = stream.spec.playback.hostname.as_deref();
        asks.is_some_and(|host| hosts.contains(&host))
            || conditions.unwrap_or_default().iter().any(|condition| condition.reason == taken)
    };
    let all = store.state_filter(waits);
    all.iter().map(|stream| Known::of(stream).stream).collect()
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use serde_json::json;

    use super::*;

    fn stream(name: &str, generation: i64) -> LiveStream {
        serde_json::from_value(json!({
            "apiVersion": "millrace.dev/v1alpha1",
            "kind": "LiveStream",
            "metadata": {
                "name": name, "namespace": "events",
                "uid": format!("uid-{name}"), "generation": generation,
            },
            "spec": { "broadcaster": "acme" },
        }))
        .unwrap()
    }

    /// What each event makes wanted, and what is gone.
    fn told(events: Vec<Event<LiveStream>>) -> Vec<(String, String)> {
        let (store, mut writer) = reflector::store();
        let mut changes = Changes::default();
        let names = |all: Vec<ObjectRef<LiveStream>>| {
            all.into_iter().map(|one| one.name).collect::<Vec<_>>().join(" ")
        };
        let each = events.into_iter().map(|event| {
            writer.apply_watcher_event(&event);
            let news = changes.note(&event, &store);
            (names(news.wanted), names(news.gone.into_iter().map(|(_, one)| one).collect()))
        });
        each.collect()
    }

    fn plain(all: &[(String, String)]) -> Vec<(&str, &str)> {
        all.iter().map(|(wanted, gone)| (wanted.as_str(), gone.as_str())).collect()
    }

    #[test]
    fn what_a_list_showed_that_broke_off_is_wanted_with_the_next() {
        use Event::{Init, InitApply, InitDone};
        let one = || InitApply(stream("a", 1));
        let all = told(vec![Init, one(), Init, one(), InitDone, Init, one(), InitDone]);
        let wanted: Vec<_> = all.iter().map(|(wanted, _)| wanted.as_str()).collect();
        assert_eq!(wanted, ["", "", "", "", "a", "", "", ""]);
    }

    #[test]
    fn what_a_list_shows_is_wanted_when_the_store_has_it() {
        use Event::{Apply, Delete, Init, InitApply, InitDone};
        let all = told(vec![
            Init,
            InitApply(stream("a", 1)),
            InitApply(stream("b", 1)),
            InitDone,
            Apply(stream("a", 1)),
            Apply(stream("a", 2)),
            // The watch was away: `a` changed, `b` went, `c` came.
            Init,
            InitApply(stream("a", 3)),
            InitApply(stream("c", 1)),
            InitDone,
            Delete(stream("c", 1)),
        ]);
        let none = ("", "");
        let expected = [
            none,
            none,
            none,
            ("a b", ""),
            none,
            ("a", ""),
            none,
            none,
            none,
            ("a c", "b"),
            ("", "c"),
        ];
        assert_eq!(plain(&all), expected);
    }
}
