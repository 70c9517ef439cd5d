//! A child as it is sent to the API server: its manifest, and a digest of it
//! by which an unchanged one is known without a look at it.

use k8s_openapi::Resource;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::build::labels::UID;
use super::kind::Kind;

/// The annotation with the digest of what was applied last: a field that has
/// left the manifest shows in nothing else.
pub const DIGEST: &str = "millrace.dev/applied";

/// Which child of all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildRef {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl std::fmt::Display for ChildRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// 64 bits of SHA-256, in hex: enough to tell one manifest from the next.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text)).get(..16).unwrap_or_default().to_owned()
}

/// A child, ready to be applied.
#[derive(Clone, PartialEq)]
pub struct Prepared {
    /// Which.
    pub id: ChildRef,
    /// Its manifest, with the digest in it.
    pub manifest: Value,
    /// Of the manifest.
    pub digest: String,
}

/// Keeps Secrets' data out of logs.
impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({}, {})", self.id, self.digest)
    }
}

/// A child that has no form as a manifest: a builder's mistake.
#[derive(Debug, thiserror::Error)]
#[error("the builder made no manifest of {kind}: {why}")]
pub struct Unprepared {
    kind: &'static str,
    why: String,
}

impl Prepared {
    /// The UID of the LiveStream it belongs to.
    pub fn uid(&self) -> Option<&String> {
        match self.manifest.pointer("/metadata/labels")?.get(UID)? {
            Value::String(uid) => Some(uid),
            _ => None,
        }
    }

    /// Of a typed object.
    pub fn typed<K: Resource + Serialize>(kind: Kind, object: &K) -> Result<Self, Unprepared> {
        let err = |why: String| Unprepared { kind: K::KIND, why };
        let mut manifest = serde_json::to_value(object).map_err(|e| err(e.to_string()))?;
        let fields = manifest.as_object_mut().ok_or_else(|| err("no object".to_owned()))?;
        fields.insert("apiVersion".to_owned(), K::API_VERSION.into());
        fields.insert("kind".to_owned(), K::KIND.into());
        Self::of(kind, manifest)
    }

    /// Of an object that brings its own `apiVersion` and `kind`.
    pub fn plain(kind: Kind, object: &impl Serialize) -> Result<Self, Unprepared> {
        let manifest = serde_json::to_value(object)
            .map_err(|error| Unprepared { kind: kind.as_str(), why: error.to_string() })?;
        Self::of(kind, manifest)
    }

    /// Of a manifest with `apiVersion`, `kind`, `metadata.name` and
    /// `metadata.namespace`.
    pub fn of(kind: Kind, mut manifest: Value) -> Result<Self, Unprepared> {
        let err = |why: &str| Unprepared { kind: kind.as_str(), why: why.to_owned() };
        let fields = manifest.as_object_mut().ok_or_else(|| err("no object"))?;
        fields.remove("status");
        let digest = digest(&Value::Object(fields.clone()).to_string());
        let metadata = fields
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .ok_or_else(|| err("no metadata"))?;
        let text = |name: &str, metadata: &Map<String, Value>| {
            let text = metadata.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| err(&format!("no metadata.{name}")))
        };
        let (namespace, name) = (text("namespace", metadata)?, text("name", metadata)?);
        metadata
            .entry("annotations")
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut()
            .ok_or_else(|| err("annotations are no map"))?
            .insert(DIGEST.to_owned(), digest.clone().into());
        Ok(Self { id: ChildRef { kind, namespace, name }, manifest, digest })
    }
}
