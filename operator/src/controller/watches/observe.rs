//! What a watch of each kind brings into the store.

use std::collections::HashSet;
use std::fmt::Debug;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use serde::de::DeserializeOwned;

use crate::reconcile::apply::Mark;
use crate::reconcile::build::HTTPRoute;
use crate::reconcile::kind::Kind;
use crate::reconcile::prepared::ChildRef;
use crate::reconcile::seen::{Facts, Seen, SeenChild, SeenPod};

/// What a watch brings into the store.
pub(super) trait Observe:
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
    seen.children.keep(child(kind, metadata), new)
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
                seen.children.remove(&child($kind, &self.metadata))
            }

            fn forget_unlisted(
                seen: &mut Seen,
                namespace: Option<&str>,
                listed: &HashSet<String>,
            ) -> bool {
                seen.children.retain(|child, held| {
                    let elsewhere = namespace.is_some_and(|namespace| child.namespace != namespace);
                    child.kind != $kind || elsewhere || listed.contains(&held.uid)
                })
            }
        })+
    };
}

observe! {
    Deployment, Kind::Deployment, "deployments", |object| Facts::from(object);
    Service, Kind::Service, "services", |object| Facts::from(object);
    PodDisruptionBudget, Kind::PodDisruptionBudget, "poddisruptionbudgets", |object| Facts::from(object);
    PartialObjectMeta<Ingress>, Kind::Ingress, "ingresses", |_| Facts::None;
    PartialObjectMeta<HTTPRoute>, Kind::HttpRoute, "httproutes", |_| Facts::None;
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
