//! The watches: LiveStreams in full, of their children a few facts each.
//!
//! Children are found by label, in the workers namespace and, for the local
//! names, in the streams'. Secrets are never listed or watched. What a watch
//! brings goes into the [`SeenStore`], and the stream it belongs to into the
//! queue.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, Resource, ResourceExt};
use millrace_platform::health::{Check, Health};
use millrace_platform::supervise::Supervisor;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::metrics::ControllerMetrics;
use crate::api::LiveStream;
use crate::reconcile::apply::Mark;
use crate::reconcile::build::HTTPRoute;
use crate::reconcile::build::labels::{MANAGED_BY, MANAGER, NAME, NAMESPACE, UID};
use crate::reconcile::context::SeenStore;
use crate::reconcile::kind::Kind;
use crate::reconcile::prepared::ChildRef;
use crate::reconcile::run::chain;
use crate::reconcile::seen::{Facts, Seen, SeenChild, SeenPod};

/// The API server ends a watch after this, and it begins anew where it was.
const WATCH_SECONDS: u32 = 290;
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Whether the cluster has HTTPRoutes. Where the Gateway API is installed
/// later, the operator is to be started again.
pub async fn has_routes(client: &Client) -> Result<bool, kube::Error> {
    match client.list_api_group_resources("gateway.networking.k8s.io/v1").await {
        Ok(resources) => Ok(resources.resources.iter().any(|one| one.kind == "HTTPRoute")),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
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
    /// Where streams go that have news.
    pub triggers: Triggers,
    /// Counts.
    pub metrics: ControllerMetrics,
}

/// Streams whose reconcile is asked for and that a queue has not taken yet.
const WAITING: usize = 1_024;

/// Leads to the queue of a stream.
#[derive(Debug, Clone)]
pub struct Triggers(Arc<Vec<Lane>>);

/// A namespace, or all, and the way to its queue.
type Lane = (Option<String>, mpsc::Sender<ObjectRef<LiveStream>>);

impl Triggers {
    /// One queue for each namespace, or one for all; with the queues' ends in
    /// the same order.
    pub fn new(
        namespaces: Option<&Vec<String>>,
    ) -> (Self, Vec<mpsc::Receiver<ObjectRef<LiveStream>>>) {
        let scopes: Vec<Option<String>> = match namespaces {
            None => vec![None],
            Some(list) => list.iter().cloned().map(Some).collect(),
        };
        let (senders, receivers) = scopes
            .into_iter()
            .map(|scope| {
                let (sender, receiver) = mpsc::channel(WAITING);
                ((scope, sender), receiver)
            })
            .unzip();
        (Self(Arc::new(senders)), receivers)
    }

    /// Ask for a reconcile.
    pub async fn send(&self, stream: ObjectRef<LiveStream>) {
        let own = self.0.iter().find(|(scope, _)| scope.is_none() || *scope == stream.namespace);
        if let Some((_, queue)) = own {
            // Nobody takes it: the process ends.
            let _ = queue.send(stream).await;
        }
    }
}

/// The check of a kind that is watched in several namespaces: it fails while
/// one of them does.
#[derive(Clone)]
struct SharedCheck(Arc<(Check, Mutex<BTreeMap<String, String>>)>);

/// The part of it for one namespace.
struct ScopeCheck {
    shared: SharedCheck,
    scope: String,
}

impl SharedCheck {
    fn new(check: Check) -> Self {
        Self(Arc::new((check, Mutex::default())))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        let (check, failing) = &*self.0;
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut failing);
        match failing.first_key_value() {
            None => check.ok(),
            Some((scope, why)) => check.failing(format!("{scope}: {why}")),
        }
    }
}

impl ScopeCheck {
    fn new(shared: &SharedCheck, namespace: Option<&str>) -> Self {
        let scope = namespace.unwrap_or("all namespaces").to_owned();
        shared.change(|failing| drop(failing.insert(scope.clone(), "starting".to_owned())));
        Self { shared: shared.clone(), scope }
    }

    fn ok(&self) {
        self.shared.change(|failing| drop(failing.remove(&self.scope)));
    }

    fn failing(&self, why: String) {
        self.shared.change(|failing| drop(failing.insert(self.scope.clone(), why)));
    }
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

/// What a watch brings into the store.
trait Observe:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Its name in metrics and health.
    const WATCH: &'static str;

    /// Keep what is seen; whether it is news.
    fn keep(&self, seen: &mut Seen) -> bool;

    /// Forget it; whether there was something.
    fn forget(&self, seen: &mut Seen) -> bool;

    /// Forget those of a namespace, or of all, that a list lacks.
    fn forget_unlisted(seen: &mut Seen, namespace: Option<&str>, listed: &HashSet<String>) -> bool;
}

fn child(kind: Kind, metadata: &ObjectMeta) -> ChildRef {
    ChildRef {
        kind,
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

fn keep(kind: Kind, metadata: &ObjectMeta, facts: Facts, seen: &mut Seen) -> bool {
    let new = SeenChild {
        uid: metadata.uid.clone().unwrap_or_default(),
        mark: Mark::of(metadata),
        facts,
    };
    let held = seen.children.get(&child(kind, metadata));
    if held == Some(&new) {
        return false;
    }
    seen.children.insert(child(kind, metadata), new);
    true
}

macro_rules! observe {
    ($($type:ty, $kind:expr, $watch:literal, $facts:expr;)+) => {
        $(impl Observe for $type {
            const WATCH: &'static str = $watch;

            fn keep(&self, seen: &mut Seen) -> bool {
                let facts: fn(&Self) -> Facts = $facts;
                keep($kind, &self.metadata, facts(self), seen)
            }

            fn forget(&self, seen: &mut Seen) -> bool {
                seen.children.remove(&child($kind, &self.metadata)).is_some()
            }

            fn forget_unlisted(
                seen: &mut Seen,
                namespace: Option<&str>,
                listed: &HashSet<String>,
            ) -> bool {
                let before = seen.children.len();
                seen.children.retain(|child, held| {
                    let elsewhere = namespace.is_some_and(|namespace| child.namespace != namespace);
                    child.kind != $kind || elsewhere || listed.contains(&held.uid)
                });
                seen.children.len() != before
            }
        })+
    };
}

observe! {
    Deployment, Kind::Deployment, "deployments", |object| Facts::from(object);
    Service, Kind::Service, "services", |object| Facts::from(object);
    PodDisruptionBudget, Kind::PodDisruptionBudget, "poddisruptionbudgets", |object| Facts::from(object);
    Ingress, Kind::Ingress, "ingresses", |_| Facts::None;
    HTTPRoute, Kind::HttpRoute, "httproutes", |_| Facts::None;
}

impl Observe for Pod {
    const WATCH: &'static str = "pods";

    fn keep(&self, seen: &mut Seen) -> bool {
        let name = self.metadata.name.clone().unwrap_or_default();
        let new = SeenPod::from(self);
        let news = seen.pods.get(&name) != Some(&new);
        seen.pods.insert(name, new);
        news
    }

    fn forget(&self, seen: &mut Seen) -> bool {
        seen.pods.remove(&self.metadata.name.clone().unwrap_or_default()).is_some()
    }

    fn forget_unlisted(seen: &mut Seen, _: Option<&str>, listed: &HashSet<String>) -> bool {
        let before = seen.pods.len();
        seen.pods.retain(|_, pod| listed.contains(&pod.uid));
        seen.pods.len() != before
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
        self.watch::<Ingress>(Some(&workers), supervisor, health, &mut synced);
        if self.routes {
            self.watch::<HTTPRoute>(Some(&workers), supervisor, health, &mut synced);
        }
        let mut all = self.namespaces.clone();
        if let Some(list) = &mut all
            && !list.contains(&self.workers_namespace)
        {
            list.push(self.workers_namespace.clone());
        }
        self.watch::<Service>(all.as_ref(), supervisor, health, &mut synced);
        Synced(synced)
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
        let scopes = scopes::<LiveStream>(&self.client, self.namespaces.as_ref());
        let watches = scopes.into_iter().map(|scope| {
            let (store, writer) = reflector::store();
            let metrics = self.metrics.clone();
            let check = ScopeCheck::new(&check, scope.namespace.as_deref());
            let watch = watcher(scope.api, config()).default_backoff().modify(slim);
            let watch = watch.inspect(move |event| match event {
                Ok(_) => {
                    metrics.event("livestreams");
                    check.ok();
                }
                Err(error) => {
                    metrics.broken("livestreams");
                    check.failing(chain(error));
                    warn!(%error, "watch of LiveStreams");
                }
            });
            (store, reflector(writer, watch).boxed())
        });
        watches.collect()
    }
}

/// What the watch of LiveStreams brings, in the store by then.
pub type StreamWatch = BoxStream<'static, watcher::Result<watcher::Event<LiveStream>>>;

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
}

/// One watch of children.
struct Observer {
    seen: SeenStore,
    triggers: Triggers,
    metrics: ControllerMetrics,
    check: ScopeCheck,
}

impl Observer {
    async fn run<K: Observe>(
        self,
        watch: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
        namespace: Option<String>,
        synced: oneshot::Sender<()>,
    ) -> Result<(), Ended> {
        let mut watch = Box::pin(watch.default_backoff());
        let mut synced = Some(synced);
        let mut listed = HashSet::new();
        while let Some(event) = watch.next().await {
            match event {
                Err(error) => {
                    self.metrics.broken(K::WATCH);
                    self.check.failing(chain(&error));
                    warn!(watch = K::WATCH, error = chain(&error), "watch");
                    continue;
                }
                Ok(Event::Init) => listed.clear(),
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

    async fn keep<K: Observe>(&self, object: &K) {
        let Some(uid) = object.labels().get(UID) else { return };
        let owner = owner(object.labels());
        let news = self.seen.change(uid, |seen| {
            seen.owner.clone_from(&owner);
            object.keep(seen)
        });
        if news {
            self.trigger(owner).await;
        }
    }

    async fn forget<K: Observe>(&self, object: &K) {
        let Some(uid) = object.labels().get(UID) else { return };
        if self.seen.change(uid, |seen| object.forget(seen)) {
            self.trigger(owner(object.labels())).await;
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
struct Ended(&'static str);
