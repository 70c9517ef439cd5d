//! Whether the ingest pod may be evicted: not while somebody publishes, since
//! a publisher would be cut off. The operator opens the budget when the node
//! is being emptied and the drain has waited long enough.
//!
//! The autoscaler asks the same budget before it takes a node away, so the
//! pod needs no annotation that says so: one that changed with every broadcast
//! would change the pod's template, and a paused Deployment would not give it
//! to the running pod anyway.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ingest_deployment::COMPONENT;
use super::{Circumstances, Installation, labels, metadata, names};
use crate::reconcile::validated::ValidatedStream;

/// Build it.
pub fn build(
    stream: &ValidatedStream,
    installation: &Installation,
    seen: &Circumstances,
) -> PodDisruptionBudget {
    let closed = seen.live && !seen.draining;
    PodDisruptionBudget {
        metadata: metadata::of_worker(
            stream,
            installation,
            COMPONENT,
            names::child(&stream.id, COMPONENT),
        ),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(i32::from(!closed))),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(stream, COMPONENT)),
                ..LabelSelector::default()
            }),
            // A pod that is not ready has no publisher to lose.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
