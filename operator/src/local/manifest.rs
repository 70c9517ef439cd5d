//! LiveStreams from YAML files, as `kubectl apply -f` reads them, and the
//! Secrets beside them that their specs name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Secret;
use kube::{CustomResourceExt, Resource};
use serde::Deserialize;
use serde_json::Value;

use super::certificates::Certificates;
use super::state::{StateDir, StateError};
use crate::api::LiveStream;

/// A manifest that is no good.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// One of its documents is no LiveStream and no Secret that is needed.
    #[error("{}: {why}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The field, and what is wrong with it.
        why: String,
    },
    /// Two documents have one name.
    #[error("{}: LiveStream {id} is there twice", path.display())]
    Twice {
        /// The file of the second.
        path: PathBuf,
        /// `<namespace>.<name>`
        id: String,
    },
    /// There was nothing in the files.
    #[error("no LiveStream in the given files")]
    Empty,
    /// The stream's UID can't be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What the files hold.
#[derive(Debug)]
pub(super) struct Manifests {
    /// At least one.
    pub(super) streams: Vec<LiveStream>,
    pub(super) certificates: Certificates,
}

/// Read all files: each stream with a namespace (`default` if none is given)
/// and a UID of its own.
pub(super) fn read(paths: &[PathBuf], state: &StateDir) -> Result<Manifests, ManifestError> {
    let mut streams = Vec::new();
    let mut certificates = Certificates::default();
    let mut ids = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        let (found, secrets) = parse(path, &text)?;
        for secret in secrets {
            certificates
                .add(secret)
                .map_err(|why| ManifestError::Invalid { path: path.clone(), why })?;
        }
        for mut stream in found {
            let meta = stream.meta_mut();
            let namespace = meta.namespace.get_or_insert_with(|| "default".to_owned()).clone();
            let name = meta.name.clone().unwrap_or_default();
            let id = format!("{namespace}.{name}");
            if let Err(error) = id.parse::<millrace_media::id::StreamId>() {
                let why = format!("metadata: {error}");
                return Err(ManifestError::Invalid { path: path.clone(), why });
            }
            if !ids.insert(id.clone()) {
                return Err(ManifestError::Twice { path: path.clone(), id });
            }
            if meta.uid.is_none() {
                meta.uid = Some(state.uid(&namespace, &name)?);
            }
            streams.push(stream);
        }
    }
    if streams.is_empty() {
        return Err(ManifestError::Empty);
    }
    Ok(Manifests { streams, certificates })
}

fn parse(path: &Path, text: &str) -> Result<(Vec<LiveStream>, Vec<Secret>), ManifestError> {
    let invalid = |why: String| ManifestError::Invalid { path: path.to_owned(), why };
    let (mut streams, mut secrets) = (Vec::new(), Vec::new());
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|error| invalid(error.to_string()))?;
        if value.is_null() {
            continue;
        }
        let word = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        if (word("apiVersion"), word("kind")) == ("v1", "Secret") {
            // Without the value: it is a secret.
            let secret = serde_path_to_error::deserialize(&value)
                .map_err(|error| invalid(format!("Secret: {} can't be read", error.path())))?;
            secrets.push(secret);
            continue;
        }
        let (api, kind) = (LiveStream::api_version(&()), LiveStream::kind(&()));
        if word("apiVersion") != api || word("kind") != kind {
            let found = format!("{} {}", word("apiVersion"), word("kind"));
            return Err(invalid(format!(
                "is {:?}, expected {api} {kind} or v1 Secret",
                found.trim()
            )));
        }
        let stream = serde_path_to_error::deserialize(&value)
            .map_err(|error| invalid(format!("{}: {}", error.path(), error.inner())))?;
        if let Some(field) = unknown_field(&value) {
            return Err(invalid(format!("{field}: no such field")));
        }
        streams.push(stream);
    }
    Ok((streams, secrets))
}

/// The first field the schema doesn't know: a typing error would otherwise
/// become a default, silently.
fn unknown_field(value: &Value) -> Option<String> {
    let crd = serde_json::to_value(LiveStream::crd()).ok()?;
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")?;
    unknown_in("spec", value.get("spec")?, schema)
}

fn unknown_in(path: &str, value: &Value, schema: &Value) -> Option<String> {
    match value {
        Value::Object(map) => {
            // Without properties it is a map with keys of its own.
            let properties = schema.get("properties")?;
            map.iter().find_map(|(name, value)| {
                let path = format!("{path}.{name}");
                match properties.get(name) {
                    None => Some(path),
                    Some(schema) => unknown_in(&path, value, schema),
                }
            })
        }
        Value::Array(items) => {
            let schema = schema.get("items")?;
            items
                .iter()
                .enumerate()
                .find_map(|(i, item)| unknown_in(&format!("{path}[{i}]"), item, schema))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        parse(Path::new("a.yaml"), text).unwrap_err().to_string()
    }

    const HEAD: &str = "apiVersion: millrace.dev/v1alpha1\nkind: LiveStream\n";

    #[test]
    fn a_file_may_hold_several_documents() {
        let text = format!(
            "{HEAD}metadata: {{name: a}}\nspec: {{broadcaster: x}}\n---\n---\n{HEAD}metadata: {{name: b}}\nspec: {{broadcaster: x}}\n"
        );
        assert_eq!(parse(Path::new("a.yaml"), &text).unwrap().0.len(), 2);
    }

    #[test]
    fn errors_name_the_file_and_the_field() {
        let with = |spec: &str| why(&format!("{HEAD}metadata: {{name: a}}\nspec: {spec}\n"));
        let error = with("{broadcaster: x, ingest: {reconnectWindow: 5 minutes}}");
        assert!(
            error.contains("a.yaml") && error.contains("spec.ingest.reconnectWindow"),
            "{error}"
        );
        let error =
            with("{broadcaster: x, ladder: [{name: a, height: 480, bitrateKbps: 9, hight: 1}]}");
        assert!(error.contains("spec.ladder[0].hight: no such field"), "{error}");
        let error = with("{}");
        assert!(error.contains("broadcaster"), "{error}");
        let error = why("apiVersion: v1\nkind: Pod\n");
        assert!(error.contains("v1 Pod") && error.contains("LiveStream"), "{error}");
    }

    #[test]
    fn a_label_of_a_node_is_no_unknown_field() {
        let text = format!(
            "{HEAD}metadata: {{name: a}}\nspec: {{broadcaster: x, transcode: {{scheduling: {{nodeSelector: {{gpu: none}}}}}}}}\n"
        );
        assert!(parse(Path::new("a.yaml"), &text).is_ok());
    }
}
