//! Deletes what the spec no longer asks for: children that carry the stream's
//! UID and are not among those that were built.

use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions};
use tracing::info;

use super::apply::{Applier, ApplyError};
use super::build::labels::UID;
use super::prepared::ChildRef;

/// Delete one child, with what belongs to it; one that is gone is no error.
/// Only the object with this UID is deleted, never one that took its name.
pub async fn delete(applier: &Applier, child: &ChildRef, uid: &str) -> Result<(), ApplyError> {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
    let parameters =
        DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match applier.api(child).delete(&child.name, &parameters).await {
        Ok(_) => info!(child = %child, "deleted"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            let error = ApplyError::new("delete", child, error);
            // A conflict may mean that there is another object of that name.
            if !error.is_conflict() || is_there(applier, child, uid).await? {
                return Err(error);
            }
        }
    }
    applier.forget(child);
    Ok(())
}

async fn is_there(applier: &Applier, child: &ChildRef, uid: &str) -> Result<bool, ApplyError> {
    let found = applier.get(child).await?;
    Ok(found.is_some_and(|live| live.metadata.uid.is_some_and(|its| its == uid)))
}

/// Delete what has the name of a child, if it carries the LiveStream's UID.
pub async fn delete_if_ours(
    applier: &Applier,
    child: &ChildRef,
    livestream: &str,
) -> Result<(), ApplyError> {
    let found = applier.get(child).await?;
    let ours = found.filter(|live| live.labels().get(UID).is_some_and(|uid| uid == livestream));
    if let Some(uid) = ours.and_then(|live| live.metadata.uid) {
        return delete(applier, child, &uid).await;
    }
    applier.forget(child);
    Ok(())
}
