//! What every reconcile shares.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;
use millrace_media::id::StreamId;

use super::apply::Applier;
use super::build::Installation;
use super::external::External;
use super::hosts::HostClaim;
use super::seen::Seen;
use super::status::findings::{Figures, LogView};
use crate::api::LiveStream;

/// What every reconcile shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Writes children.
    pub applier: Applier,
    /// All LiveStreams, as last seen; a store for each watched namespace.
    pub streams: Vec<Store<LiveStream>>,
    /// Their children, as last seen.
    pub seen: SeenStore,
    /// Postgres, Kafka, Redis.
    pub external: External,
    /// What the installation decides.
    pub installation: Installation,
    /// What the log and Redis say of each stream.
    pub live: LiveStore,
    /// Sends Events.
    pub recorder: Recorder,
}

impl Context {
    /// The host names that streams ask for.
    pub fn host_claims(&self) -> Vec<HostClaim> {
        let streams = self.streams.iter().flat_map(Store::state);
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
        if *seen == Seen::default() {
            all.remove(uid);
        }
        changed
    }

    /// UIDs of all streams that something is seen of.
    pub fn uids(&self) -> Vec<String> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }
}

/// What the log and Redis say of each stream.
#[derive(Debug, Clone, Default)]
pub struct LiveStore(Arc<RwLock<HashMap<StreamId, (LogView, Option<Figures>)>>>);

impl LiveStore {
    /// Of one; unknown when it was not looked at yet.
    pub fn get(&self, stream: &StreamId) -> (LogView, Option<Figures>) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(stream).cloned().unwrap_or((LogView::Unknown, None))
    }

    /// Keep what the log says; whether it is news.
    pub fn log(&self, stream: &StreamId, view: LogView) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(stream.clone()).or_insert((LogView::Unknown, None));
        let news = held.0 != view;
        held.0 = view;
        news
    }

    /// Keep what Redis says; whether it is news.
    pub fn figures(&self, stream: &StreamId, figures: Figures) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(stream.clone()).or_insert((LogView::Unknown, None));
        let news = held.1.as_ref() != Some(&figures);
        held.1 = Some(figures);
        news
    }

    /// A stream is gone.
    pub fn forget(&self, stream: &StreamId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(stream);
    }
}
