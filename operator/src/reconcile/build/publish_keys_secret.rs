//! The Secret with the stream's publish keys, in the stream's own namespace.
//!
//! It is the truth for the spec's keys: the rows in Postgres are derived from
//! it. For a key named `main` it holds `main` (the key), after a rotation
//! `main.previous` (the one before), and as annotations the rotation it is at
//! and until when the previous one is good.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use millrace_media::id::PublishKey;

use super::{metadata, names};
use crate::reconcile::validated::ValidatedStream;

/// A stream's publish keys by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamKeys(pub BTreeMap<String, NamedKey>);

/// One key of the spec and what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// The key that is handed out.
    pub current: PublishKey,
    /// The spec's rotation number it was made for.
    pub rotation: u32,
    /// The key before, if it may still be good.
    pub previous: Option<PreviousKey>,
}

/// A key that was rotated away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousKey {
    /// The key.
    pub key: PublishKey,
    /// Good until then, seconds since 1970.
    pub until: i64,
}

/// Build it.
pub fn build(stream: &ValidatedStream, keys: &StreamKeys) -> Secret {
    let mut data = BTreeMap::new();
    let mut annotations = BTreeMap::new();
    for (name, key) in &keys.0 {
        data.insert(name.clone(), ByteString(key.current.reveal().into_bytes()));
        annotations.insert(rotation_annotation(name), key.rotation.to_string());
        if let Some(previous) = &key.previous {
            data.insert(previous_entry(name), ByteString(previous.key.reveal().into_bytes()));
            annotations.insert(until_annotation(name), previous.until.to_string());
        }
    }
    Secret {
        metadata: ObjectMeta {
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..metadata::of_own(stream, "publish-keys", names::publish_keys(&stream.id))
        },
        type_: Some("millrace.dev/publish-keys".to_owned()),
        data: (!data.is_empty()).then_some(data),
        ..Secret::default()
    }
}

/// Read one back. What is no key is left out, and so made anew.
pub fn read(secret: &Secret) -> StreamKeys {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let key = |entry: &str| -> Option<PublishKey> {
        std::str::from_utf8(&data.get(entry)?.0).ok()?.trim().parse().ok()
    };
    let number = |annotation: &str| -> Option<i64> {
        secret.metadata.annotations.as_ref()?.get(annotation)?.parse().ok()
    };
    let named = data.keys().filter(|entry| !entry.contains('.')).filter_map(|name| {
        let rotation = number(&rotation_annotation(name)).and_then(|n| u32::try_from(n).ok());
        let previous = key(&previous_entry(name))
            .and_then(|key| Some(PreviousKey { key, until: number(&until_annotation(name))? }));
        let named =
            NamedKey { current: key(name)?, rotation: rotation.unwrap_or_default(), previous };
        Some((name.clone(), named))
    });
    StreamKeys(named.collect())
}

// A key's name holds no dot, so these can't meet it.
fn previous_entry(name: &str) -> String {
    format!("{name}.previous")
}

fn rotation_annotation(name: &str) -> String {
    format!("millrace.dev/rotation.{name}")
}

fn until_annotation(name: &str) -> String {
    format!("millrace.dev/previous-until.{name}")
}
