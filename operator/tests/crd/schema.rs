//! The committed CRD is the one the types say, and nothing in it is unbounded.

use serde_json::Value;

#[test]
fn the_committed_crd_is_what_the_types_print() {
    let printed = millrace_operator::crd::yaml().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/livestreams.millrace.dev.yaml");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(printed == committed, "crds/livestreams.millrace.dev.yaml is stale: run `make crd`");
}

#[test]
fn the_committed_reference_is_what_the_types_print() {
    let printed = millrace_operator::crd::docs::markdown().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/livestream.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(printed == committed, "docs/livestream.md is stale: run `make crd`");
}

#[test]
fn the_example_is_a_valid_stream() {
    let text = include_str!("../../../examples/keynote.yaml");
    let mut stream: millrace_operator::api::LiveStream = serde_yaml::from_str(text).unwrap();
    stream.metadata.uid = Some("6f1c1a52-8a0f-4c1e-9d5e-0c6a2f6f7a11".to_owned());
    millrace_operator::reconcile::validate::validate(&stream).unwrap();
}

/// An API server refuses CEL rules it can't bound the cost of.
#[test]
fn every_string_list_and_map_of_the_schema_is_bounded() {
    let crd: Value = serde_yaml::from_str(&millrace_operator::crd::yaml().unwrap()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut unbounded = Vec::new();
    walk("", schema, &mut unbounded);
    assert_eq!(unbounded, Vec::<String>::new());
}

fn walk(path: &str, schema: &Value, unbounded: &mut Vec<String>) {
    let has = |name: &str| schema.get(name).is_some();
    let fine = match schema["type"].as_str() {
        Some("string") => has("maxLength") || has("enum") || schema["format"] == "date-time",
        Some("array") => has("maxItems") && has("x-kubernetes-list-type"),
        Some("integer") => schema["format"] == "int32" || schema["format"] == "int64",
        Some("object") => has("properties") || has("maxProperties"),
        _ => true,
    };
    if !fine {
        unbounded.push(path.to_owned());
    }
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), child, unbounded);
    }
    for name in ["items", "additionalProperties"] {
        if has(name) {
            walk(&format!("{path}[]"), &schema[name], unbounded);
        }
    }
}
