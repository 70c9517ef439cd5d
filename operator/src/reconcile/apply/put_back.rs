//! An object in which somebody changed what a list's entries are told apart by,
//! as the number of a Service's port, or set a field that excludes one of ours:
//! applied, our entry would come beside theirs, with the same name, or our
//! field beside theirs, and be refused for it again and again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Applier, FIELD_MANAGER};
use crate::reconcile::kind::Kind;
use crate::reconcile::prepared::Prepared;

/// Fields that an object may not have beside those that our manifests have.
const EXCLUDED: [(Kind, &str, &str); 2] = [
    (Kind::Deployment, "/spec/strategy", "rollingUpdate"),
    (Kind::PodDisruptionBudget, "/spec", "minAvailable"),
];

/// Who puts lists back, for a moment.
const PUTS_BACK: &str = "millrace-operator-puts-back";

/// Whether lists were put back and what that took is not given up yet.
pub(super) fn is_held(object: &ObjectMeta) -> bool {
    let mut managers = object.managed_fields.iter().flatten();
    managers.any(|entry| entry.manager.as_deref() == Some(PUTS_BACK))
}

impl Applier {
    /// Replaces the lists of our spec whole, takes away what excludes a field of
    /// it, and applies it over them.
    pub(super) async fn put_back(&self, child: &Prepared) -> Result<ObjectMeta, kube::Error> {
        let mut whole = json!({ "spec": child.manifest.get("spec") });
        for (_, place, field) in EXCLUDED.into_iter().filter(|(kind, ..)| child.id.kind == *kind) {
            if let Some(fields) = whole.pointer_mut(place).and_then(Value::as_object_mut) {
                fields.entry(field).or_insert(Value::Null);
            }
        }
        let whole = Patch::Merge(whole);
        let manager =
            PatchParams { field_manager: Some(PUTS_BACK.to_owned()), ..PatchParams::default() };
        self.patch(&child.id, &manager, &whole).await?;
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        self.patch(&child.id, &ours, &Patch::Apply(&child.manifest)).await
    }

    /// Who applies takes away only what nobody else has: fields that were put
    /// back would stay when they leave the manifest. A conflict is for the next
    /// reconcile: until it succeeds the object is not as applied.
    pub(super) async fn give_up(
        &self,
        child: &Prepared,
        applied: ObjectMeta,
    ) -> Result<ObjectMeta, kube::Error> {
        if !is_held(&applied) {
            return Ok(applied);
        }
        let mut managers = applied.managed_fields.unwrap_or_default();
        managers.retain(|entry| entry.manager.as_deref() != Some(PUTS_BACK));
        let version = applied.resource_version;
        let metadata = json!({ "managedFields": managers, "resourceVersion": version });
        let given_up = Patch::Merge(json!({ "metadata": metadata }));
        self.patch(&child.id, &PatchParams::default(), &given_up).await
    }
}
