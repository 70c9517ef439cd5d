//! Whether an object, as the API server has it, is what was applied and more.
//!
//! The API server adds defaults and status, and other parties add fields and
//! list items of their own: none of that is drift. Lists whose items have a
//! merge key (structured-merge-diff's `listType: map`) are compared by it,
//! other lists item by item.

use serde_json::Value;

/// Keys of the lists in our manifests, the most particular first.
const MERGE_KEYS: [&str; 4] = ["mountPath", "uid", "containerPort", "name"];

/// Whether `live` has all that `desired` asks for.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(name, desired)| {
            live.get(name).map_or_else(|| is_nothing(desired), |live| covers(live, desired))
        }),
        (Value::Array(live), Value::Array(desired)) => {
            let key = MERGE_KEYS.into_iter().find(|key| {
                !desired.is_empty() && desired.iter().all(|item| item.get(key).is_some())
            });
            match key {
                Some(key) => desired.iter().all(|wanted| {
                    live.iter().any(|item| item.get(key) == wanted.get(key) && covers(item, wanted))
                }),
                None => {
                    live.len() == desired.len()
                        && live.iter().zip(desired).all(|(live, desired)| covers(live, desired))
                }
            }
        }
        (live, desired) => live == desired,
    }
}

/// The API server leaves out what is empty.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_added_is_no_drift() {
        let desired = json!({ "a": 1, "list": [{ "name": "x", "value": "1" }], "none": {} });
        let live = json!({
            "a": 1, "b": 2,
            "list": [{ "name": "sidecar" }, { "name": "x", "value": "1", "default": true }],
        });
        assert!(covers(&live, &desired));
    }

    #[test]
    fn a_field_or_item_of_ours_that_differs_is() {
        let desired = json!({ "a": { "b": [{ "name": "x", "value": "1" }] }, "c": [1, 2] });
        for live in [
            json!({ "a": { "b": [{ "name": "x", "value": "2" }] }, "c": [1, 2] }),
            json!({ "a": { "b": [] }, "c": [1, 2] }),
            json!({ "a": { "b": [{ "name": "x", "value": "1" }] }, "c": [1, 2, 3] }),
            json!({ "c": [1, 2] }),
        ] {
            assert!(!covers(&live, &desired), "{live}");
        }
    }

    #[test]
    fn false_and_empty_text_are_asked_for() {
        assert!(!covers(&json!({}), &json!({ "a": false })));
        assert!(!covers(&json!({}), &json!({ "a": "" })));
    }

    /// All leaves of a manifest, as JSON pointers.
    fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(fields) if !fields.is_empty() => fields
                .iter()
                .map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value))
                .collect(),
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect()
            }
            _ => return found.push(path.to_owned()),
        };
        for (name, value) in below {
            leaves(&format!("{path}/{name}"), value, found);
        }
    }

    /// The manifest without the field or item at `pointer`.
    fn without(manifest: &Value, pointer: &str) -> Value {
        let mut live = manifest.clone();
        let (holder, name) = pointer.rsplit_once('/').unwrap();
        match live.pointer_mut(holder).unwrap() {
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            fields => {
                let name = name.replace("~1", "/").replace("~0", "~");
                fields.as_object_mut().unwrap().remove(&name);
            }
        }
        live
    }

    #[test]
    fn each_field_and_item_of_every_child_is_missed_when_it_is_changed_or_taken_away() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let mut tried = 0;
        for case in std::fs::read_dir(golden).unwrap() {
            for file in std::fs::read_dir(case.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let manifest: Value = serde_yaml::from_str(&text).unwrap();
                assert!(covers(&manifest, &manifest), "{}", path.display());
                let mut all = Vec::new();
                leaves("", &manifest, &mut all);
                for leaf in all {
                    let says = format!("{} {leaf}", path.display());
                    let value = manifest.pointer(&leaf).unwrap();
                    let mut changed = manifest.clone();
                    *changed.pointer_mut(&leaf).unwrap() = json!("somebody's");
                    assert!(!covers(&changed, &manifest), "{says} changed");
                    let gone = covers(&without(&manifest, &leaf), &manifest);
                    assert_eq!(gone, is_nothing(value), "{says} taken away");
                    tried += 1;
                }
            }
        }
        assert!(tried > 1_000, "{tried}");
    }
}
