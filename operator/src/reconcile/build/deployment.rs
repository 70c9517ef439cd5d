//! What the Deployments of every worker share.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Installation, labels, metadata, names};
use crate::reconcile::validated::ValidatedStream;

/// Old ReplicaSets that are kept: to see what changed, not to go back to. The
/// operator applies what the spec says anyway.
const REVISIONS: i32 = 2;
/// A Deployment whose pods don't come up is said to hang after this, an image
/// of some hundred megabytes included.
const PROGRESS_SECONDS: i32 = 300;

/// What differs between workers.
pub(super) struct Worker {
    /// `app.kubernetes.io/component` of it all.
    pub component: &'static str,
    /// Pods at once.
    pub replicas: i32,
    /// The pods.
    pub template: PodTemplateSpec,
}

/// Build it. `Recreate`: a pod of the old template and one of the new would
/// fight for the stream.
pub(super) fn of(
    stream: &ValidatedStream,
    installation: &Installation,
    worker: Worker,
) -> Deployment {
    let component = worker.component;
    Deployment {
        metadata: metadata::of_worker(
            stream,
            installation,
            component,
            names::child(&stream.id, component),
        ),
        spec: Some(DeploymentSpec {
            replicas: Some(worker.replicas),
            selector: LabelSelector {
                match_labels: Some(labels::selector(stream, component)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                ..DeploymentStrategy::default()
            }),
            revision_history_limit: Some(REVISIONS),
            progress_deadline_seconds: Some(PROGRESS_SECONDS),
            template: worker.template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
