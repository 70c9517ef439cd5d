//! The finalizer: it keeps a LiveStream until its children in Kubernetes are
//! deleted. What is outside Kubernetes is left to the sweep, so that a deletion
//! never waits for Postgres, Kafka or Redis.

use std::cmp::Reverse;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, CustomResourceExt, Resource, ResourceExt};
use serde_json::{Value, json};

use super::apply::ApplyError;
use super::context::Context;
use super::kind::Kind;
use super::prepared::ChildRef;
use super::{prune, retry_after};
use crate::api::LiveStream;

/// The finalizer's name.
pub const FINALIZER: &str = "millrace.dev/children";
/// Who owns it in `metadata.finalizers`.
const FIELD_MANAGER: &str = "millrace-operator-finalizer";

/// Put the finalizer on, if it is not there.
pub async fn hold(context: &Context, stream: &LiveStream) -> Result<(), kube::Error> {
    if is_held(stream) {
        return Ok(());
    }
    let resource = LiveStream::api_resource();
    let manifest = json!({
        "apiVersion": resource.api_version,
        "kind": LiveStream::kind(&()),
        // The UID keeps it from being made anew when it is gone.
        "metadata": { "name": stream.name_any(), "uid": stream.uid(), "finalizers": [FINALIZER] },
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let held = patch(&context.client, stream, &parameters, &Patch::Apply(&manifest)).await?;
    context.behind.note(&stream.metadata, &held);
    Ok(())
}

/// Whether the finalizer is on.
pub fn is_held(stream: &impl ResourceExt) -> bool {
    stream.finalizers().iter().any(|name| name == FINALIZER)
}

/// Delete the children, then let the LiveStream go. `known` are all children
/// that it may have. Each is looked at first: what is deleted must be its own,
/// and what the watches show may be old. One that can't be deleted keeps no
/// other.
///
/// # Errors
/// The first that came up.
pub async fn finalize(
    context: &Context,
    stream: &LiveStream,
    known: &[ChildRef],
) -> Result<(), FinalizeError> {
    let uid = stream.uid().unwrap_or_default();
    let mut children: Vec<&ChildRef> = known.iter().collect();
    // Pods go first, then what they refer to.
    children.sort_by_key(|child| Reverse(Kind::ALL.iter().position(|kind| *kind == child.kind)));
    let mut done = Ok(());
    for child in children {
        let deleted = prune::delete_if_ours(&context.applier, child, &uid).await;
        let is_sent_away = deleted.as_ref().is_err_and(|error| error.retry_after().is_some());
        done = done.and(deleted);
        if is_sent_away {
            break;
        }
    }
    done?;
    context.applier.forget_all(known);
    release(&context.client, stream).await.map_err(|error| FinalizeError::Release(Box::new(error)))
}

/// Take the finalizer off, whoever put it on: an object that was restored from
/// a copy brings it along.
pub(crate) async fn release(client: &Client, stream: &impl ResourceExt) -> Result<(), kube::Error> {
    let left: Vec<&String> = stream.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    let version = stream.resource_version();
    let merge = json!({ "metadata": { "resourceVersion": version, "finalizers": left } });
    match patch(client, stream, &PatchParams::default(), &Patch::Merge(&merge)).await {
        // It is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => done.map(drop),
    }
}

/// Why a LiveStream stays.
#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    /// A child can't be deleted.
    #[error(transparent)]
    Child(#[from] ApplyError),
    /// The finalizer can't be taken off.
    #[error("can't take the finalizer off")]
    Release(#[source] Box<kube::Error>),
}

impl FinalizeError {
    /// The LiveStream is not what it was when the reconcile began.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Release(error)
            if matches!(&**error, kube::Error::Api(status) if status.code == 409))
    }

    /// For how long the API server asks not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Child(error) => error.retry_after(),
            Self::Release(error) => retry_after::of(error),
        }
    }
}

async fn patch(
    client: &Client,
    stream: &impl ResourceExt,
    parameters: &PatchParams,
    patch: &Patch<&Value>,
) -> Result<ObjectMeta, kube::Error> {
    let namespace = stream.namespace().unwrap_or_default();
    let api: Api<LiveStream> = Api::namespaced(client.clone(), &namespace);
    Ok(api.patch_metadata(&stream.name_any(), parameters, patch).await?.metadata)
}
