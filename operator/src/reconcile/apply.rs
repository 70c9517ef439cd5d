//! Server-side apply of the children, and no write where nothing changed.
//!
//! What the API server holds of a child is known by its [`Mark`], which the
//! watches bring. A child that was applied or looked at under that mark with
//! this digest is right, and costs nothing. Any other is read: if it still
//! covers the manifest it is only remembered, else it is applied. So a restart
//! of the operator reads, and writes nothing.

mod covers;
mod mark;
mod put_back;
mod right;

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use tracing::{debug, info};

use super::build::labels::UID;
use super::prepared::{ChildRef, DIGEST, Prepared};
use super::retry_after;
pub use covers::covers;
pub use mark::Mark;
use right::Right;

/// Who owns the fields of children.
pub const FIELD_MANAGER: &str = "millrace-operator";

/// A child that can't be made so.
#[derive(Debug, thiserror::Error)]
#[error("can't {verb} {child}")]
pub struct ApplyError {
    verb: &'static str,
    /// Which.
    pub child: ChildRef,
    /// Why.
    pub source: Cause,
}

/// Why a child can't be made so.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The API server can't be asked, or refused.
    #[error(transparent)]
    Api(Box<kube::Error>),
    /// An object of that name does not carry the stream's UID.
    #[error("there is one that belongs to somebody else; rename or delete it")]
    Foreign,
}

impl ApplyError {
    pub(super) fn new(verb: &'static str, child: &ChildRef, source: kube::Error) -> Self {
        Self { verb, child: child.clone(), source: Cause::Api(Box::new(source)) }
    }

    /// Somebody else owns a field, or the object is another by now.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(&self.source, Cause::Api(error)
            if matches!(&**error, kube::Error::Api(status) if status.code == 409))
    }

    /// For how long the API server asks not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.source {
            Cause::Foreign => None,
            Cause::Api(error) => retry_after::of(error),
        }
    }

    /// The API server understood and refused it: only a change of the spec, of
    /// a quota or of the operator helps.
    pub fn is_refusal(&self) -> bool {
        match &self.source {
            Cause::Foreign => true,
            Cause::Api(error) => is_refusal(error),
        }
    }
}

/// What was done with a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was right; nothing was asked.
    Known,
    /// It was read and is right.
    Right,
    /// It was written.
    Written,
}

/// Whether an object of a child's name carries the stream's UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Ours,
    /// There may be none, or one of somebody else.
    Unknown,
}

/// Applies children, and remembers which are right.
#[derive(Debug)]
pub struct Applier {
    client: ClientHandle,
    right: Right,
}

/// `kube::Client` has no `Debug`.
#[derive(Clone)]
struct ClientHandle(Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Applier {
    /// Asks nothing yet.
    pub fn new(client: Client) -> Self {
        Self { client: ClientHandle(client), right: Right::default() }
    }

    pub(super) fn api(&self, child: &ChildRef) -> Api<DynamicObject> {
        let resource = child.kind.resource();
        Api::namespaced_with(self.client.0.clone(), &child.namespace, &resource)
    }

    /// Make one child so. `is_surely_ours`: it is watched, and in the workers
    /// namespace, where names are ours. `seen` is its mark in the watches' view;
    /// none means that they know of no such object.
    pub async fn apply(
        &self,
        child: &Prepared,
        seen: Option<&Mark>,
        is_surely_ours: bool,
    ) -> Result<Outcome, ApplyError> {
        if let Some(seen) = seen {
            if self.right.holds(child, *seen) {
                return Ok(Outcome::Known);
            }
            if let Some(live) = self.get(&child.id).await?
                && is_as_applied(&live, child)
            {
                debug!(child = %child.id, "looked at, unchanged");
                self.right.note(child, Mark::of(&live.metadata));
                return Ok(Outcome::Right);
            }
        }
        if seen.is_some() {
            return self.write(child, Ownership::Ours).await;
        }
        // In a namespace of people a name may be theirs; and of what was written a moment ago the
        // watch may know nothing yet.
        if !is_surely_ours || self.right.has(&child.id) {
            let live = self.get(&child.id).await?;
            // Somebody took the label off by which it is told to be ours.
            if is_surely_ours && live.as_ref().is_some_and(|live| !live.labels().contains_key(UID))
            {
                return self.write(child, Ownership::Unknown).await;
            }
            return self.apply_unwatched(child, live.as_ref()).await;
        }
        match self.write(child, Ownership::Unknown).await {
            // Somebody changed a label by which it is found.
            Err(error) if error.is_conflict() => {
                let live = self.get(&child.id).await?;
                self.apply_unwatched(child, live.as_ref()).await
            }
            done => done,
        }
    }

    /// The same for a kind that is not watched: always read.
    pub async fn apply_unwatched<K: Resource + Serialize>(
        &self,
        child: &Prepared,
        live: Option<&K>,
    ) -> Result<Outcome, ApplyError> {
        match live {
            Some(live) if is_as_applied(live, child) => Ok(Outcome::Right),
            Some(live) if live.labels().get(UID) == child.uid() => {
                self.write(child, Ownership::Ours).await
            }
            Some(_) => {
                Err(ApplyError { verb: "apply", child: child.id.clone(), source: Cause::Foreign })
            }
            None => self.write(child, Ownership::Unknown).await,
        }
    }

    /// Read one child.
    pub async fn get(&self, child: &ChildRef) -> Result<Option<DynamicObject>, ApplyError> {
        match self.api(child).get(&child.name).await {
            Ok(found) => Ok(Some(found)),
            // Of the object, or of its kind.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(ApplyError::new("read", child, error)),
        }
    }

    /// What is ours is taken back from whoever changed it. What is not known
    /// to be is not taken: an object of somebody else that has the name stays
    /// as it is, and the conflict is told.
    async fn write(&self, child: &Prepared, whose: Ownership) -> Result<Outcome, ApplyError> {
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let parameters = if whose == Ownership::Ours { parameters.force() } else { parameters };
        let patch = Patch::Apply(&child.manifest);
        let applied = self.patch(&child.id, &parameters, &patch).await;
        let written = match applied {
            Err(error) if whose == Ownership::Ours && is_invalid(&error) => {
                // What is refused for another reason is so again.
                self.put_back(child).await.map_err(|_| error)
            }
            applied => applied,
        };
        let written = match written {
            Ok(applied) => self.give_up(child, applied).await,
            refused => refused,
        };
        let written = written.map_err(|error| ApplyError::new("apply", &child.id, error))?;
        info!(child = %child.id, "applied");
        self.right.note(child, Mark::of(&written));
        Ok(Outcome::Written)
    }

    /// Patch one, and have only its metadata sent back, which is all that is read.
    async fn patch(
        &self,
        child: &ChildRef,
        parameters: &PatchParams,
        patch: &Patch<impl Serialize + Debug>,
    ) -> Result<ObjectMeta, kube::Error> {
        let patched = self.api(child).patch_metadata(&child.name, parameters, patch).await?;
        Ok(patched.metadata)
    }

    /// A child is gone.
    pub(super) fn forget(&self, child: &ChildRef) {
        self.right.is_gone(child);
    }

    /// Whether this process has seen that it is gone, and has not made it since.
    pub(super) fn is_absent(&self, child: &ChildRef) -> bool {
        self.right.is_absent(child)
    }

    /// Nothing of a stream is remembered.
    pub(super) fn forget_all(&self, children: &[ChildRef]) {
        self.right.forget(children);
    }
}

/// The API server understood what it was asked, and refused it for good.
pub(super) fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 422))
}

fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

fn is_as_applied<K: Resource + Serialize>(live: &K, child: &Prepared) -> bool {
    let same = live.annotations().get(DIGEST) == Some(&child.digest);
    same && live.meta().deletion_timestamp.is_none()
        && !put_back::is_held(live.meta())
        && serde_json::to_value(live).is_ok_and(|live| covers(&live, &child.manifest))
}
