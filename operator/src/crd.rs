//! The CustomResourceDefinition as YAML, what `millrace-operator crd` prints
//! and `crds/livestreams.millrace.dev.yaml` holds; and for people ([`docs`]),
//! as `docs/livestream.md`.

pub mod docs;

use kube::CustomResourceExt;

use crate::api::LiveStream;

/// The CRD's YAML, ending in a line feed.
pub fn yaml() -> Result<String, serde_yaml::Error> {
    let body = serde_yaml::to_string(&LiveStream::crd())?;
    Ok(format!("# Printed by `millrace-operator crd`; `make crd` writes it again.\n{body}"))
}
