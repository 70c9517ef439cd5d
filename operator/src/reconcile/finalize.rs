//! The finalizer: it keeps a LiveStream until its children in Kubernetes are
//! deleted. What is outside Kubernetes is left to the sweep, so that a deletion
//! never waits for Postgres, Kafka or Redis.

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, CustomResourceExt, Resource};
use serde_json::json;

use super::apply::ApplyError;
use super::context::Context;
use super::kind::Kind;
use super::prepared::ChildRef;
use super::prune;
use crate::api::LiveStream;

/// The finalizer's name.
pub const FINALIZER: &str = "millrace.dev/children";
/// Who owns it in `metadata.finalizers`.
const FIELD_MANAGER: &str = "millrace-operator-finalizer";

/// Put the finalizer on, if it is not there.
pub async fn hold(client: &Client, stream: &LiveStream) -> Result<(), kube::Error> {
    if is_held(stream) {
        return Ok(());
    }
    patch(client, stream, &[FINALIZER]).await
}

/// Whether the finalizer is on.
pub fn is_held(stream: &LiveStream) -> bool {
    stream.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// Delete the children, then let the LiveStream go. `known` are the children
/// that its spec names; those that are seen beyond that are deleted too.
pub async fn finalize(
    context: &Context,
    stream: &LiveStream,
    known: &[ChildRef],
) -> Result<(), FinalizeError> {
    let uid = stream.metadata.uid.as_deref().unwrap_or_default();
    let seen = context.seen.get(uid).children;
    let mut children: Vec<&ChildRef> = known.iter().chain(seen.keys()).collect();
    children.sort_by_key(|child| (std::cmp::Reverse(position(child.kind)), *child));
    children.dedup();
    for child in children {
        match seen.get(child) {
            Some(seen) => prune::delete(&context.applier, child, &seen.uid).await?,
            // Secrets, and what was made a moment ago.
            None => prune::delete_if_ours(&context.applier, child, uid).await?,
        }
    }
    context.applier.forget_all(known);
    patch(&context.client, stream, &[]).await.or_else(|error| match error {
        // Somebody else took it off.
        kube::Error::Api(status) if status.code == 404 => Ok(()),
        error => Err(FinalizeError::Release(Box::new(error))),
    })
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

/// Pods go first, then what they refer to.
fn position(kind: Kind) -> usize {
    Kind::ALL.iter().position(|other| *other == kind).unwrap_or_default()
}

async fn patch(client: &Client, stream: &LiveStream, names: &[&str]) -> Result<(), kube::Error> {
    let namespace = stream.metadata.namespace.as_deref().unwrap_or_default();
    let name = stream.metadata.name.as_deref().unwrap_or_default();
    let api: Api<LiveStream> = Api::namespaced(client.clone(), namespace);
    let resource = LiveStream::api_resource();
    let manifest = json!({
        "apiVersion": resource.api_version,
        "kind": LiveStream::kind(&()),
        // The UID keeps it from being made anew when it is gone.
        "metadata": { "name": name, "uid": stream.metadata.uid, "finalizers": names },
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_metadata(name, &parameters, &Patch::Apply(&manifest)).await.map(drop)
}
