//! What every reconcile shares.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use millrace_media::id::StreamId;
use millrace_platform::postgres::registry::Keep;

use super::apply::Applier;
use super::behind::Behind;
use super::build::Installation;
use super::drains::Drains;
use super::external::External;
use super::external::figures::Figures;
use super::external::live::LiveView;
use super::external::rungs::Rungs;
use super::hosts::HostClaim;
use super::keys_known::KeysKnown;
use super::seen::Seen;
use super::suspended::Suspended;
use crate::api::LiveStream;

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Writes children.
    pub applier: Applier,
    /// All LiveStreams, as last seen; a store for each watched namespace.
    pub streams: Vec<Store<LiveStream>>,
    /// How many of them are complete.
    pub listed: AtomicUsize,
    /// Their children, as last seen.
    pub seen: SeenStore,
    /// Nodes that are being emptied.
    pub drains: Drains,
    /// A live stream's ingest pod may be evicted when its node has been so for
    /// this long.
    pub drain_timeout: Duration,
    /// LiveStreams whose last write is still to come by the watch.
    pub behind: Behind,
    /// Publish keys that were right a moment ago.
    pub keys_known: KeysKnown,
    /// Suspended streams whose broadcast is to end.
    pub suspended: Suspended,
    /// Postgres, Kafka, Redis.
    pub external: External,
    /// What the installation decides.
    pub installation: Installation,
    /// What the logs and Redis say of each stream.
    pub live: Live,
    /// Namespaces of LiveStreams; none is all.
    pub namespaces: Option<Vec<String>>,
    /// Sends Events.
    pub recorder: Recorder,
    /// UIDs of LiveStreams whose deletion was carried through, until nothing
    /// of them is left outside, and what of it is to be kept.
    pub deleted: Mutex<HashMap<String, Keep>>,
}

impl Context {
    /// A watch has listed all its streams, for the first time.
    pub fn note_listed(&self) {
        self.listed.fetch_add(1, Ordering::Relaxed);
    }

    /// A LiveStream's deletion was carried through.
    pub fn note_deleted(&self, stream: &LiveStream) {
        let uid = stream.metadata.uid.clone().unwrap_or_default();
        let keep = stream.spec.deletion_policy.into();
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, keep);
    }

    /// Whether all streams are in the stores. The stores know it too, but of
    /// all that wait for a store only the last is woken.
    pub fn are_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed) >= self.streams.len()
    }

    /// Whether this very LiveStream is still in the stores.
    pub fn has(&self, stream: &LiveStream) -> bool {
        let reference = ObjectRef::from_obj(stream);
        let held = self.streams.iter().find_map(|store| store.get(&reference));
        held.is_some_and(|held| held.metadata.uid == stream.metadata.uid)
    }

    /// The claims to a host name.
    pub fn claims_to(&self, host: &str) -> Vec<HostClaim> {
        let asks = |stream: &LiveStream| stream.spec.playback.hostname.as_deref() == Some(host);
        let streams = self.streams.iter().flat_map(|store| store.state_filter(asks));
        streams.filter_map(|stream| HostClaim::of(&stream)).collect()
    }
}

/// Children of all streams, by the LiveStream's UID.
#[derive(Debug, Clone, Default)]
pub struct SeenStore(Arc<RwLock<HashMap<String, Seen>>>);

impl SeenStore {
    /// What is seen of one.
    pub fn get(&self, uid: &str) -> Seen {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(uid).cloned().unwrap_or_default()
    }

    /// Change what is seen of one; what becomes empty is forgotten. Returns
    /// whether anything changed.
    pub fn change(&self, uid: &str, change: impl FnOnce(&mut Seen) -> bool) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(uid.to_owned()).or_default();
        let changed = change(seen);
        if seen.is_empty() {
            all.remove(uid);
        }
        changed
    }

    /// Namespaces and names of the LiveStreams whose ingest runs on a node.
    pub fn publishing_on(&self, node: &str) -> Vec<(String, String)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let there = all.values().filter(|seen| seen.ingest_nodes().any(|one| one == node));
        there.filter_map(|seen| seen.owner.clone()).collect()
    }

    /// UIDs and names of the LiveStreams that children are seen of in a
    /// namespace.
    pub fn owners_in(&self, namespace: &str) -> Vec<(String, StreamId)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let has = |seen: &Seen| seen.children.refs().any(|child| child.namespace == namespace);
        let there = all.iter().filter(|(_, seen)| has(seen));
        there.filter_map(|(uid, seen)| Some((uid.clone(), seen.stream()?))).collect()
    }

    /// UIDs of all streams that something is seen of.
    pub fn uids(&self) -> Vec<String> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }
}

/// What the logs and Redis say of each stream.
#[derive(Debug, Clone)]
pub struct Live {
    /// What is seen in the logs.
    pub logs: LiveView,
    figures: Arc<RwLock<HashMap<StreamId, Figures>>>,
    rungs: Arc<RwLock<HashMap<StreamId, Rungs>>>,
}

impl Live {
    /// With nothing of Redis yet.
    pub fn new(logs: LiveView) -> Self {
        Self { logs, figures: Arc::default(), rungs: Arc::default() }
    }

    /// Of Redis; none when it said nothing yet.
    pub fn figures(&self, stream: &StreamId) -> Option<Figures> {
        self.figures.read().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    /// Keep what Redis says of those that have figures; the streams for which
    /// that is news.
    pub fn put_figures(&self, new: HashMap<StreamId, Figures>) -> Vec<StreamId> {
        let mut held = self.figures.write().unwrap_or_else(PoisonError::into_inner);
        let news = new.iter().filter(|(stream, figures)| held.get(*stream) != Some(*figures));
        let news = news.map(|(stream, _)| stream.clone()).collect();
        *held = new;
        news
    }

    /// The rungs of the broadcast that is on, or of one before it.
    pub fn rungs(&self, stream: &StreamId) -> Option<Rungs> {
        self.rungs.read().unwrap_or_else(PoisonError::into_inner).get(stream).cloned()
    }

    /// Those of these live streams whose broadcast's rungs are not known yet.
    /// What is known of others is forgotten.
    pub fn without_rungs(&self, live: &[StreamId]) -> Vec<StreamId> {
        let mut held = self.rungs.write().unwrap_or_else(PoisonError::into_inner);
        let there: HashSet<&StreamId> = live.iter().collect();
        held.retain(|stream, _| there.contains(stream));
        let is_known = |stream: &StreamId| {
            let known = held.get(stream).map(|rungs| rungs.broadcast);
            known.is_some() && known == self.logs.get(stream).broadcast()
        };
        live.iter().filter(|stream| !is_known(stream)).cloned().collect()
    }

    /// Keep what Redis says of rungs; the streams for which that is news.
    pub fn put_rungs(&self, new: HashMap<StreamId, Rungs>) -> Vec<StreamId> {
        let mut held = self.rungs.write().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for (stream, rungs) in new {
            if held.get(&stream) != Some(&rungs) {
                news.push(stream.clone());
                held.insert(stream, rungs);
            }
        }
        news
    }

    /// A stream is gone.
    pub fn forget(&self, stream: &StreamId) {
        self.logs.unwatch(stream);
    }
}
