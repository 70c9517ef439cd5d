//! An object in which somebody changed what a list's entries are told apart by,
//! as the number of a Service's port: applied, our entry would come beside
//! theirs, with the same name, and be refused for it again and again.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::{Applier, FIELD_MANAGER};
use crate::reconcile::prepared::Prepared;

/// Who puts lists back, for a moment.
const PUTS_BACK: &str = "millrace-operator-puts-back";

impl Applier {
    /// Replaces the lists of our spec whole, and applies it over them.
    pub(super) async fn put_back(&self, child: &Prepared) -> Result<DynamicObject, kube::Error> {
        let (api, name) = (self.api(&child.id), &child.id.name);
        let whole = Patch::Merge(json!({ "spec": child.manifest.get("spec") }));
        let manager =
            PatchParams { field_manager: Some(PUTS_BACK.to_owned()), ..PatchParams::default() };
        api.patch(name, &manager, &whole).await?;
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(name, &ours, &Patch::Apply(&child.manifest)).await?;
        // Who applies takes away only what nobody else has: the fields would
        // stay when they leave the manifest.
        let mut managers = applied.metadata.managed_fields.unwrap_or_default();
        managers.retain(|entry| entry.manager.as_deref() != Some(PUTS_BACK));
        let version = applied.metadata.resource_version;
        let metadata = json!({ "managedFields": managers, "resourceVersion": version });
        let released = Patch::Merge(json!({ "metadata": metadata }));
        api.patch(name, &PatchParams::default(), &released).await
    }
}
