//! Deletes what the spec no longer asks for: children that carry the stream's
//! UID and are not among those that were built.

use kube::api::{DeleteParams, Preconditions};
use tracing::info;

use super::apply::{Applier, ApplyError};
use super::prepared::ChildRef;

/// Delete one child, with what belongs to it; one that is gone is no error.
/// With a `uid` only that very object is deleted, never one that took its name.
pub async fn delete(
    applier: &Applier,
    child: &ChildRef,
    uid: Option<&str>,
) -> Result<(), ApplyError> {
    let preconditions =
        uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() });
    let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
    match applier.api(child).delete(&child.name, &parameters).await {
        Ok(_) => info!(child = %child, "deleted"),
        // Gone, or another object of that name.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => return Err(ApplyError::new("delete", child, error)),
    }
    applier.forget(child);
    Ok(())
}
