//! What tells one state of an object from another.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What tells one state of an object from another, in 64 bits: a new object has
/// another UID, and a changed one another generation, label or annotation; or
/// another version, where there is no generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// Written by the controller of Deployments, after each change of ours.
const OF_DEPLOYMENTS: &str = "deployment.kubernetes.io/";

impl Mark {
    /// Of an object's metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        let mut hasher = DefaultHasher::new();
        metadata.uid.hash(&mut hasher);
        let Some(generation) = metadata.generation else {
            metadata.resource_version.hash(&mut hasher);
            return Self(hasher.finish());
        };
        // Moves with what people and operators write, not with status.
        (generation, &metadata.labels).hash(&mut hasher);
        let annotations = metadata.annotations.iter().flatten();
        for annotation in annotations.filter(|(name, _)| !name.starts_with(OF_DEPLOYMENTS)) {
            annotation.hash(&mut hasher);
        }
        for owner in metadata.owner_references.iter().flatten() {
            owner.uid.hash(&mut hasher);
        }
        metadata.deletion_timestamp.is_some().hash(&mut hasher);
        Self(hasher.finish())
    }
}
