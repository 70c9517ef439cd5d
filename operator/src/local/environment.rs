//! The rendered environment of a container, with every reference resolved.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource};

/// A variable that can't be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("variable {variable}: {why}")]
pub struct Unresolved {
    variable: String,
    why: String,
}

/// Names and values of one Secret or ConfigMap.
pub(super) type Entries = BTreeMap<String, String>;

/// Where references point to.
#[derive(Clone, Default)]
pub(super) struct Sources {
    /// Secrets by name.
    pub(super) secrets: BTreeMap<String, Entries>,
    /// ConfigMaps by name.
    pub(super) config_maps: BTreeMap<String, Entries>,
    /// Fields of the pod by path, such as `metadata.name`.
    pub(super) fields: BTreeMap<String, String>,
}

/// Resolve all variables; a later one of the same name wins, as in Kubernetes.
pub(super) fn resolve(env: &[EnvVar], sources: &Sources) -> Result<Entries, Unresolved> {
    let mut resolved = Entries::new();
    for variable in env {
        let err = |why: String| Unresolved { variable: variable.name.clone(), why };
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(from)) => reference(from, sources).map_err(err)?,
            (Some(value), None) if value.contains("$(") => {
                return Err(err("$(…) in a value is not supported by local".to_owned()));
            }
            (value, None) => Some(value.clone().unwrap_or_default()),
        };
        if let Some(value) = value {
            resolved.insert(variable.name.clone(), value);
        }
    }
    Ok(resolved)
}

/// The value, or none if it is missing and may be.
fn reference(from: &EnvVarSource, sources: &Sources) -> Result<Option<String>, String> {
    let entry = |kind, all: &BTreeMap<String, Entries>, name: &str, key: &str, optional| {
        let value = all.get(name).and_then(|entries| entries.get(key));
        match value {
            Some(value) => Ok(Some(value.clone())),
            None if optional == Some(true) => Ok(None),
            None => Err(format!("{kind} {name} has no {key}")),
        }
    };
    match from {
        EnvVarSource { secret_key_ref: Some(r), .. } => {
            entry("Secret", &sources.secrets, &r.name, &r.key, r.optional)
        }
        EnvVarSource { config_map_key_ref: Some(r), .. } => {
            entry("ConfigMap", &sources.config_maps, &r.name, &r.key, r.optional)
        }
        EnvVarSource { field_ref: Some(r), .. } => sources
            .fields
            .get(&r.field_path)
            .cloned()
            .map(Some)
            .ok_or_else(|| format!("field {} is not supported by local", r.field_path)),
        EnvVarSource { resource_field_ref: Some(_), .. } => {
            Err("resourceFieldRef is not supported by local".to_owned())
        }
        _ => Err("this kind of reference is not supported by local".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn env(value: serde_json::Value) -> Vec<EnvVar> {
        serde_json::from_value(value).unwrap()
    }

    fn sources() -> Sources {
        let one = |k: &str, v: &str| Entries::from([(k.to_owned(), v.to_owned())]);
        Sources {
            secrets: BTreeMap::from([("connections".to_owned(), one("REDIS_URL", "redis://x"))]),
            config_maps: BTreeMap::from([("settings".to_owned(), one("level", "debug"))]),
            fields: one("metadata.name", "keynote-ingest-0"),
        }
    }

    #[test]
    fn every_kind_of_reference_the_builders_may_use_is_resolved() {
        let resolved = resolve(
            &env(json!([
                { "name": "A", "value": "1" },
                { "name": "B", "valueFrom": { "secretKeyRef": { "name": "connections", "key": "REDIS_URL" } } },
                { "name": "C", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "level" } } },
                { "name": "D", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "E", "valueFrom": { "secretKeyRef": { "name": "connections", "key": "NO", "optional": true } } },
                { "name": "A", "value": "2" },
            ])),
            &sources(),
        )
        .unwrap();
        let pairs: Vec<_> = resolved.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [("A", "2"), ("B", "redis://x"), ("C", "debug"), ("D", "keynote-ingest-0")]
        );
    }

    #[test]
    fn what_can_not_be_resolved_is_named() {
        for (value, word) in [
            (
                json!({ "name": "X", "valueFrom": { "secretKeyRef": { "name": "connections", "key": "NO" } } }),
                "Secret connections has no NO",
            ),
            (
                json!({ "name": "X", "valueFrom": { "fieldRef": { "fieldPath": "status.hostIP" } } }),
                "status.hostIP",
            ),
            (
                json!({ "name": "X", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } }),
                "resourceFieldRef",
            ),
            (json!({ "name": "X", "value": "$(A)" }), "not supported"),
        ] {
            let error = resolve(&env(json!([value])), &sources()).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("variable X"), "{error}");
        }
    }
}
