//! Name, place, labels and owner of a child.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::{Installation, labels};
use crate::api::LiveStream;
use crate::reconcile::validated::ValidatedStream;

/// Of a child in the workers namespace.
pub(super) fn of_worker(
    stream: &ValidatedStream,
    installation: &Installation,
    component: &str,
    name: String,
) -> ObjectMeta {
    within(stream, component, name, &installation.workers_namespace)
}

/// Of a child in the stream's own namespace.
pub(super) fn of_own(stream: &ValidatedStream, component: &str, name: String) -> ObjectMeta {
    within(stream, component, name, stream.id.namespace())
}

fn within(stream: &ValidatedStream, component: &str, name: String, namespace: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels::of(stream, component)),
        // An owner in another namespace is as good as none: the garbage
        // collector would delete the child.
        owner_references: (namespace == stream.id.namespace()).then(|| vec![owner(stream)]),
        ..ObjectMeta::default()
    }
}

fn owner(stream: &ValidatedStream) -> OwnerReference {
    OwnerReference {
        api_version: LiveStream::api_version(&()).into_owned(),
        kind: LiveStream::kind(&()).into_owned(),
        name: stream.id.name().to_owned(),
        uid: stream.uid.as_str().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
