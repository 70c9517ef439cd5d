//! One watch of children, from the API server into the store.

use std::collections::{BTreeMap, HashSet};

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use millrace_platform::report::report;
use tokio::sync::oneshot;
use tracing::warn;

use super::checks::ScopeCheck;
use super::observe::Observe;
use super::patience::patiently;
use super::triggers::Triggers;
use crate::controller::metrics::ControllerMetrics;
use crate::reconcile::build::labels::{NAME, NAMESPACE, UID};
use crate::reconcile::context::SeenStore;

/// One watch of children.
pub(super) struct Observer {
    pub(super) seen: SeenStore,
    pub(super) triggers: Triggers,
    pub(super) metrics: ControllerMetrics,
    pub(super) check: ScopeCheck,
    pub(super) workers_namespace: String,
}

impl Observer {
    pub(super) async fn run<K: Observe>(
        self,
        watch: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
        namespace: Option<String>,
        synced: oneshot::Sender<()>,
    ) -> Result<(), Ended> {
        let check = self.check.clone();
        let mut watch = Box::pin(patiently(watch, move || check.ok()));
        let mut synced = Some(synced);
        let mut listed = HashSet::new();
        while let Some(event) = watch.next().await {
            match event {
                Err(error) => {
                    self.metrics.broken(K::WATCH);
                    self.check.failing(report(&error));
                    warn!(watch = K::WATCH, error = report(&error), "watch");
                    continue;
                }
                // Said before the server is asked.
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert(object.meta().uid.clone().unwrap_or_default());
                    self.keep(&object).await;
                }
                Ok(Event::InitDone) => {
                    self.forget_unlisted::<K>(namespace.as_deref(), &std::mem::take(&mut listed))
                        .await;
                    if let Some(synced) = synced.take() {
                        let _ = synced.send(());
                    }
                }
                Ok(Event::Apply(object)) => self.keep(&object).await,
                Ok(Event::Delete(object)) => self.forget(&object).await,
            }
            self.metrics.event(K::WATCH);
            self.check.ok();
        }
        Err(Ended(K::WATCH))
    }

    /// Whether a child may be there: with workers, or with its stream. Anybody
    /// can put any labels on what is his.
    fn may_have<K: Observe>(&self, object: &K) -> bool {
        let namespace = object.namespace();
        namespace.as_deref() == Some(&self.workers_namespace)
            || namespace.as_ref() == object.labels().get(NAMESPACE)
    }

    async fn keep<K: Observe>(&self, object: &K) {
        let Some(uid) = object.labels().get(UID) else { return };
        if !self.may_have(object) {
            return self.forget(object).await;
        }
        let owner = owner(object.labels());
        let is_ours = object.namespace().as_deref() == Some(&self.workers_namespace);
        let news = self.seen.change(uid, |seen| {
            // Labels of another stream's UID, in a namespace where anybody may be.
            if !is_ours && seen.owner.is_some() && seen.owner != owner {
                return object.forget(seen);
            }
            seen.owner.clone_from(&owner);
            object.keep(seen)
        });
        if news {
            self.trigger(owner).await;
        }
    }

    async fn forget<K: Observe>(&self, object: &K) {
        let Some(uid) = object.labels().get(UID) else { return };
        let mut owner = None;
        let news = self.seen.change(uid, |seen| {
            owner.clone_from(&seen.owner);
            object.forget(seen)
        });
        if news {
            self.trigger(owner).await;
        }
    }

    /// What a new list lacks has gone while the watch was away.
    async fn forget_unlisted<K: Observe>(&self, namespace: Option<&str>, listed: &HashSet<String>) {
        for uid in self.seen.uids() {
            let mut owner = None;
            let news = self.seen.change(&uid, |seen| {
                owner.clone_from(&seen.owner);
                K::forget_unlisted(seen, namespace, listed)
            });
            if news {
                self.trigger(owner).await;
            }
        }
    }

    async fn trigger(&self, owner: Option<(String, String)>) {
        if let Some((namespace, name)) = owner {
            self.triggers.send(ObjectRef::new(&name).within(&namespace)).await;
        }
    }
}

/// Whose a child is stands in its labels.
fn owner(labels: &BTreeMap<String, String>) -> Option<(String, String)> {
    Some((labels.get(NAMESPACE)?.clone(), labels.get(NAME)?.clone()))
}

/// A watch that should never end.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {0} ended")]
pub(super) struct Ended(pub(super) &'static str);
