//! What the watches know of one stream's children: little of each, so that
//! many thousands fit into memory.

mod children;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use millrace_media::id::StreamId;

use super::apply::Mark;
use super::build::ingest_deployment;
use super::build::labels::COMPONENT;
use super::endpoints::ObservedService;
use super::kind::Kind;
use super::prepared::ChildRef;
pub use children::SeenChildren;

/// A child as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenChild {
    /// Its own UID.
    pub uid: String,
    /// Its state.
    pub mark: Mark,
    /// What its kind tells.
    pub facts: Facts,
}

/// What a kind tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facts {
    /// Nothing that is needed.
    None,
    /// Of a Deployment.
    Deployment(DeploymentFacts),
    /// Of a PodDisruptionBudget: no pod may be evicted.
    Budget {
        /// So it is.
        closed: bool,
    },
    /// Of a Service.
    Service(ObservedService),
}

/// Of a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentFacts {
    /// The digest of the template that it has.
    pub template: String,
    /// Whether a change of the template waits.
    pub paused: bool,
    /// Pods it should have.
    pub wanted: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Its controller has seen the newest spec.
    pub observed: bool,
    /// Why pods can't even be made, as a quota would be.
    pub failure: Option<String>,
}

/// A pod as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPod {
    /// Its UID.
    pub uid: String,
    /// `app.kubernetes.io/component`.
    pub component: String,
    /// The node it runs on; none while it has none, and when it is going or
    /// has ended.
    pub node: Option<String>,
    /// Since when all its containers run; none while it is ready, or one does not.
    pub unready_since: Option<Timestamp>,
    /// Why it doesn't run, in Kubernetes' words.
    pub trouble: Option<String>,
}

/// Everything seen of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whose they are: namespace and name of the LiveStream.
    pub owner: Option<(String, String)>,
    /// Its children.
    pub children: SeenChildren,
    /// Its pods, by name.
    pub pods: BTreeMap<String, SeenPod>,
}

impl Seen {
    /// There is nothing.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty() && self.pods.is_empty()
    }

    /// Whose they are.
    pub fn stream(&self) -> Option<StreamId> {
        let (namespace, name) = self.owner.as_ref()?;
        StreamId::new(namespace, name).ok()
    }

    /// A Deployment of this name.
    pub fn deployment(&self, child: &ChildRef) -> Option<&DeploymentFacts> {
        match &self.children.get(child)?.facts {
            Facts::Deployment(facts) => Some(facts),
            _ => None,
        }
    }

    /// Whether the ingest pod is kept from eviction; none when there is no
    /// budget.
    pub fn is_kept(&self) -> Option<bool> {
        self.children.iter().find_map(|(_, seen)| match seen.facts {
            Facts::Budget { closed } => Some(closed),
            _ => None,
        })
    }

    /// The Deployment with this name, wherever it is.
    pub fn deployment_named(&self, name: &str) -> Option<&DeploymentFacts> {
        let child = self
            .children
            .refs()
            .find(|child| child.kind == Kind::Deployment && child.name == name)?;
        self.deployment(child)
    }

    /// Transcode pods that are wanted now.
    pub fn transcoders(&self) -> i32 {
        let transcode = self.children.iter().find(|(child, _)| child.name.ends_with("-transcode"));
        match transcode.map(|(_, seen)| &seen.facts) {
            Some(Facts::Deployment(facts)) => facts.wanted,
            _ => 0,
        }
    }

    /// A Service of this name.
    pub fn service(&self, child: &ChildRef) -> Option<&ObservedService> {
        match &self.children.get(child)?.facts {
            Facts::Service(facts) => Some(facts),
            _ => None,
        }
    }

    /// The Service with this name, wherever it is.
    pub fn service_named(&self, name: &str) -> Option<&ObservedService> {
        let mut all = self.children.refs();
        self.service(all.find(|child| child.kind == Kind::Service && child.name == name)?)
    }

    /// The nodes that ingest pods run on.
    pub fn ingest_nodes(&self) -> impl Iterator<Item = &str> {
        let ingest = self.pods.values().filter(|pod| pod.component == ingest_deployment::COMPONENT);
        ingest.filter_map(|pod| pod.node.as_deref())
    }

    /// Since when a pod of a component runs that is not ready.
    pub fn unready_since(&self, component: &str) -> Option<Timestamp> {
        let its = self.pods.values().filter(|pod| pod.component == component);
        its.filter_map(|pod| pod.unready_since).min()
    }

    /// Why pods of a component don't run, if one doesn't.
    pub fn trouble(&self, component: &str) -> Option<String> {
        self.pods
            .iter()
            .filter(|(_, pod)| pod.component == component)
            .find_map(|(name, pod)| Some(format!("{name}: {}", pod.trouble.as_ref()?)))
    }
}

/// The annotation of a pod template that names its content.
pub const TEMPLATE: &str = "millrace.dev/template";

impl From<&Deployment> for Facts {
    fn from(deployment: &Deployment) -> Self {
        let spec = deployment.spec.as_ref();
        let status = deployment.status.as_ref();
        let annotations = deployment.metadata.annotations.as_ref();
        let failure = status.and_then(|status| {
            status.conditions.iter().flatten().find_map(|condition| {
                let failed = condition.type_ == "ReplicaFailure" && condition.status == "True";
                failed.then(|| condition.message.clone().unwrap_or_default())
            })
        });
        Self::Deployment(DeploymentFacts {
            template: annotations.and_then(|a| a.get(TEMPLATE)).cloned().unwrap_or_default(),
            paused: spec.and_then(|spec| spec.paused).unwrap_or_default(),
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or_default(),
            observed: status.and_then(|status| status.observed_generation)
                >= deployment.metadata.generation,
            failure,
        })
    }
}

impl From<&PodDisruptionBudget> for Facts {
    fn from(budget: &PodDisruptionBudget) -> Self {
        let most = budget.spec.as_ref().and_then(|spec| spec.max_unavailable.as_ref());
        Self::Budget { closed: most == Some(&IntOrString::Int(0)) }
    }
}

impl From<&Service> for Facts {
    fn from(service: &Service) -> Self {
        Self::Service(ObservedService::of(service))
    }
}

impl From<&Pod> for SeenPod {
    fn from(pod: &Pod) -> Self {
        let labels = pod.metadata.labels.as_ref();
        let component = labels.and_then(|labels| labels.get(COMPONENT));
        let status = pod.status.as_ref();
        let is = |type_: &str| {
            status.and_then(|status| {
                status.conditions.iter().flatten().find(|condition| condition.type_ == type_)
            })
        };
        let unscheduled = is("PodScheduled").filter(|c| c.status == "False").map(|c| {
            let reason = c.reason.as_deref().unwrap_or("Pending");
            format!("{reason}: {}", c.message.as_deref().unwrap_or_default())
        });
        let ready = is("Ready").is_some_and(|condition| condition.status == "True");
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let unready_since = containers.filter(|_| !ready).and_then(|all| running_since(all));
        let trouble = containers.into_iter().flatten().find_map(container_trouble).or(unscheduled);
        let phase = status.and_then(|status| status.phase.as_deref());
        let goes = pod.metadata.deletion_timestamp.is_some()
            || matches!(phase, Some("Succeeded" | "Failed"));
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            component: component.cloned().unwrap_or_default(),
            node: node.filter(|_| !goes),
            unready_since: unready_since.filter(|_| !goes),
            trouble: trouble.map(|text| text.chars().take(300).collect()),
        }
    }
}

/// Since when all of them run.
fn running_since(containers: &[ContainerStatus]) -> Option<Timestamp> {
    let started = |status: &ContainerStatus| {
        let running = status.state.as_ref()?.running.as_ref()?;
        Some(running.started_at.as_ref()?.0)
    };
    let all: Option<Vec<_>> = containers.iter().map(started).collect();
    all?.into_iter().max()
}

/// What keeps a container from running, but for starting.
fn container_trouble(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| *reason != "ContainerCreating")?;
    let ended = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = ended.map(|ended| format!(" (last exit {})", ended.exit_code)).unwrap_or_default();
    let message = waiting.message.as_deref().unwrap_or_default();
    Some(format!("{reason}{ended}: {message}"))
}
