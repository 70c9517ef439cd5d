//! The watch of Nodes: which are being emptied. It is the only one that the
//! operator can do without, since a Role can't give the right to it: then no
//! drain opens a budget.

use std::collections::HashSet;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use millrace_platform::health::Check;
use millrace_platform::report::report;
use serde::Deserialize;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::observer::Ended;
use super::patience::patiently;
use super::triggers::Triggers;
use crate::controller::metrics::ControllerMetrics;
use crate::reconcile::context::SeenStore;
use crate::reconcile::drains::Drains;

/// Its name in metrics and health.
pub(super) const WATCH: &str = "nodes";
/// Nodes of one page of a list: each is large.
pub(super) const PAGE: u32 = 100;
/// Where it may not look it asks again after this.
const REFUSED: Duration = Duration::from_mins(5);

/// Taints of a node that is being emptied: of `kubectl cordon` and `drain`, of
/// the cluster autoscaler, of Karpenter, and of Karpenter before 1.0.
const TAINTS: [&str; 4] = [
    "node.kubernetes.io/unschedulable",
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
];

/// A Node, of which little is read.
#[derive(Debug, Clone, Deserialize, kube::Resource)]
#[resource(inherit = "Node")]
pub(super) struct SlimNode {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: SlimSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct SlimSpec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

impl SlimNode {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn emptying(&self) -> impl Iterator<Item = &Taint> {
        self.spec.taints.iter().filter(|taint| TAINTS.contains(&taint.key.as_str()))
    }

    fn is_emptied(&self) -> bool {
        self.spec.unschedulable || self.emptying().next().is_some()
    }

    /// Since when it is being emptied, if it says so.
    fn since(&self) -> Option<Timestamp> {
        self.emptying().filter_map(|taint| taint.time_added.as_ref()).map(|time| time.0).min()
    }
}

/// From the API server into the store.
pub(super) struct NodeObserver {
    pub(super) drains: Drains,
    pub(super) seen: SeenStore,
    pub(super) triggers: Triggers,
    pub(super) metrics: ControllerMetrics,
    pub(super) check: Check,
}

impl NodeObserver {
    pub(super) async fn run(
        self,
        watch: impl Stream<Item = watcher::Result<watcher::Event<SlimNode>>> + Send + 'static,
        synced: oneshot::Sender<()>,
    ) -> Result<(), Ended> {
        let check = self.check.clone();
        let mut watch = Box::pin(patiently(watch, move || check.ok()));
        let mut synced = Some(synced);
        let mut is_synced = || {
            if let Some(synced) = synced.take() {
                let _ = synced.send(());
            }
        };
        let mut listed = HashSet::new();
        let mut refused = false;
        while let Some(event) = watch.next().await {
            match event {
                Err(error) if is_refusal(&error) => {
                    self.refused(std::mem::replace(&mut refused, true)).await;
                    // All that will be known of nodes is.
                    is_synced();
                    tokio::time::sleep(REFUSED).await;
                    continue;
                }
                Err(error) => {
                    self.metrics.broken(WATCH);
                    self.check.failing(report(&error));
                    warn!(watch = WATCH, error = report(&error), "watch");
                    continue;
                }
                // Said before the server is asked.
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(node)) => {
                    listed.insert(node.name().to_owned());
                    self.keep(&node).await;
                }
                Ok(Event::InitDone) => {
                    self.forget_unlisted(&std::mem::take(&mut listed)).await;
                    is_synced();
                }
                Ok(Event::Apply(node)) => self.keep(&node).await,
                Ok(Event::Delete(node)) => self.end(node.name()).await,
            }
            refused = false;
            self.metrics.event(WATCH);
            self.check.ok();
        }
        Err(Ended(WATCH))
    }

    async fn keep(&self, node: &SlimNode) {
        let name = node.name();
        if !node.is_emptied() {
            return self.end(name).await;
        }
        let news = self.drains.get(name).is_none();
        if self.drains.note(name, node.since(), Timestamp::now()) {
            if news {
                info!(node = name, "being emptied");
            }
            self.trigger(name).await;
        }
    }

    async fn end(&self, node: &str) {
        if self.drains.end(node) {
            info!(node, "not being emptied any more");
            self.trigger(node).await;
        }
    }

    async fn forget_unlisted(&self, listed: &HashSet<String>) {
        for node in self.drains.retain(listed) {
            self.trigger(&node).await;
        }
    }

    /// What was known of nodes is not to be trusted for ever.
    async fn refused(&self, is_known: bool) {
        if !is_known {
            warn!("Nodes may not be listed and watched: no drain opens a budget");
        }
        self.check.failing("may not list and watch Nodes: no drain opens a budget");
        self.forget_unlisted(&HashSet::new()).await;
    }

    async fn trigger(&self, node: &str) {
        for (namespace, name) in self.seen.publishing_on(node) {
            self.triggers.send(ObjectRef::new(&name).within(&namespace)).await;
        }
    }
}

/// The right is missing.
fn is_refusal(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
