//! The watches: LiveStreams in full, of their children a few facts each (of
//! routes the API server sends the metadata alone), of Nodes next to nothing.
//!
//! Children are found by label, in the workers namespace and, for the local
//! names, in the streams'. Secrets are never listed or watched. What a watch
//! brings goes into the [`SeenStore`], and the stream it belongs to into the
//! queue. Of Nodes only those are kept that are being emptied ([`Drains`]).

mod checks;
mod lenient;
mod nodes;
mod observe;
mod observer;
mod patience;
mod triggers;

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::Store;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, Resource};
use millrace_platform::backoff::Backoff;
use millrace_platform::health::Health;
use millrace_platform::report::report;
use millrace_platform::supervise::Supervisor;
use tokio::sync::oneshot;
use tracing::warn;

use super::metrics::ControllerMetrics;
use crate::api::LiveStream;
use crate::reconcile::build::HTTPRoute;
use crate::reconcile::build::labels::{MANAGED_BY, MANAGER, UID};
use crate::reconcile::context::SeenStore;
use crate::reconcile::drains::Drains;
use crate::reconcile::retry_after;
use crate::reconcile::status::table;
use checks::{ScopeCheck, SharedCheck};
use lenient::{Lenient, unwrapped};
use nodes::NodeObserver;
use observe::Observe;
use observer::Observer;
use patience::patiently;

pub use triggers::Triggers;

/// The API server ends a watch after this, and it begins anew where it was.
const WATCH_SECONDS: u32 = 290;
/// What the API server was asked before the watches is asked again after this
/// at first,
const SOON: Duration = Duration::from_millis(500);
/// and after this at most.
const SELDOM: Duration = Duration::from_secs(10);
/// Objects of one page of a list: a page is held in full, with all that is not
/// kept of them.
const PAGE: u32 = 100;

/// Whether the cluster has HTTPRoutes, asked until the API server says it.
/// Where the Gateway API is installed later, the operator is to be started
/// again.
pub async fn has_routes(client: &Client) -> bool {
    let mut backoff = Backoff::new(SOON, SELDOM);
    loop {
        match client.list_api_group_resources("gateway.networking.k8s.io/v1").await {
            Ok(all) => return all.resources.iter().any(|one| one.kind == "HTTPRoute"),
            Err(kube::Error::Api(status)) if status.code == 404 => return false,
            Err(error) => {
                warn!(error = report(&error), "can't ask for HTTPRoutes");
                let asked = retry_after::of(&error).unwrap_or_default();
                tokio::time::sleep(backoff.next_delay().max(asked)).await;
            }
        }
    }
}

/// What the watches need.
pub struct Watches {
    /// The API server.
    pub client: Client,
    /// Namespaces of LiveStreams; none is all.
    pub namespaces: Option<Vec<String>>,
    /// Where workers run.
    pub workers_namespace: String,
    /// The cluster has HTTPRoutes.
    pub routes: bool,
    /// Where facts go.
    pub seen: SeenStore,
    /// Where nodes go that are being emptied.
    pub drains: Drains,
    /// Where streams go that have news.
    pub triggers: Triggers,
    /// Counts.
    pub metrics: ControllerMetrics,
}

/// All watches of children have listed once.
pub struct Synced(Vec<oneshot::Receiver<()>>);

impl Synced {
    /// Wait for it.
    pub async fn wait(self) {
        // A watch whose end is gone ends the process; nobody has to know here.
        let _ = futures::future::join_all(self.0).await;
    }
}

impl Watches {
    /// Start the watches of children.
    pub fn spawn(&self, supervisor: &mut Supervisor, health: &Health) -> Synced {
        let workers = vec![self.workers_namespace.clone()];
        let mut synced = Vec::new();
        self.watch::<Deployment>(Some(&workers), supervisor, health, &mut synced);
        self.watch::<Pod>(Some(&workers), supervisor, health, &mut synced);
        self.watch::<PodDisruptionBudget>(Some(&workers), supervisor, health, &mut synced);
        self.watch::<PartialObjectMeta<Ingress>>(Some(&workers), supervisor, health, &mut synced);
        if self.routes {
            self.watch::<PartialObjectMeta<HTTPRoute>>(
                Some(&workers),
                supervisor,
                health,
                &mut synced,
            );
        }
        let mut all = self.namespaces.clone();
        if let Some(list) = &mut all
            && !list.contains(&self.workers_namespace)
        {
            list.push(self.workers_namespace.clone());
        }
        self.watch::<Service>(all.as_ref(), supervisor, health, &mut synced);
        self.nodes(supervisor, health, &mut synced);
        Synced(synced)
    }

    fn nodes(
        &self,
        supervisor: &mut Supervisor,
        health: &Health,
        synced: &mut Vec<oneshot::Receiver<()>>,
    ) {
        let (sender, receiver) = oneshot::channel();
        synced.push(receiver);
        let observer = NodeObserver {
            drains: self.drains.clone(),
            seen: self.seen.clone(),
            triggers: self.triggers.clone(),
            metrics: self.metrics.clone(),
            check: health.informative(nodes::WATCH),
        };
        let watch = watcher(Api::all(self.client.clone()), config().page_size(nodes::PAGE));
        let stop = supervisor.stop().clone();
        let watch = observer.run(watch, sender);
        supervisor.spawn(nodes::WATCH, async move {
            stop.run_until_cancelled_owned(watch).await.unwrap_or(Ok(()))
        });
    }

    fn watch<K: Observe>(
        &self,
        namespaces: Option<&Vec<String>>,
        supervisor: &mut Supervisor,
        health: &Health,
        synced: &mut Vec<oneshot::Receiver<()>>,
    ) {
        let check = SharedCheck::new(health.needed(K::WATCH));
        for scope in scopes::<K>(&self.client, namespaces) {
            let (sender, receiver) = oneshot::channel();
            synced.push(receiver);
            let observer = Observer {
                seen: self.seen.clone(),
                triggers: self.triggers.clone(),
                metrics: self.metrics.clone(),
                check: ScopeCheck::new(&check, scope.namespace.as_deref()),
                workers_namespace: self.workers_namespace.clone(),
            };
            let config = config().labels(&format!("{MANAGED_BY}={MANAGER},{UID}"));
            let stop = supervisor.stop().clone();
            let watch = observer.run(watcher(scope.api, config), scope.namespace, sender);
            supervisor.spawn(K::WATCH, async move {
                stop.run_until_cancelled_owned(watch).await.unwrap_or(Ok(()))
            });
        }
    }

    /// The watches of LiveStreams, one for each namespace that is watched, or
    /// one for all.
    pub fn streams(&self, health: &Health) -> Vec<(Store<LiveStream>, StreamWatch)> {
        let check = SharedCheck::new(health.needed("livestreams"));
        let scopes = scopes::<Lenient>(&self.client, self.namespaces.as_ref());
        let watches = scopes.into_iter().map(|scope| {
            let (store, writer) = reflector::store();
            let metrics = self.metrics.clone();
            let check = ScopeCheck::new(&check, scope.namespace.as_deref());
            let calm = check.clone();
            let watch = patiently(watcher(scope.api, config()), move || calm.ok());
            let watch = watch.map_ok(unwrapped).modify(slim);
            let watch = watch.inspect(move |event| match event {
                // Said before the server is asked.
                Ok(Event::Init) => {}
                Ok(_) => {
                    metrics.event("livestreams");
                    check.ok();
                }
                Err(error) => {
                    metrics.broken("livestreams");
                    check.failing(report(error));
                    warn!(%error, "watch of LiveStreams");
                }
            });
            (store, reflector(writer, watch).boxed())
        });
        watches.collect()
    }
}

/// What the watch of LiveStreams brings, in the store by then.
pub type StreamWatch = BoxStream<'static, watcher::Result<Event<LiveStream>>>;

/// A namespace, or all of them.
struct Scope<K> {
    api: Api<K>,
    namespace: Option<String>,
}

fn scopes<K>(client: &Client, namespaces: Option<&Vec<String>>) -> Vec<Scope<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespaces {
        None => vec![Scope { api: Api::all(client.clone()), namespace: None }],
        Some(list) => list
            .iter()
            .map(|namespace| Scope {
                api: Api::namespaced(client.clone(), namespace),
                namespace: Some(namespace.clone()),
            })
            .collect(),
    }
}

fn config() -> Config {
    Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// Without what nobody reads of it.
fn slim(stream: &mut LiveStream) {
    stream.metadata.managed_fields = None;
    if let Some(annotations) = &mut stream.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    if let Some(status) = &mut stream.status {
        status.conditions.shrink_to_fit();
        table::share_words(&mut status.conditions);
    }
}
