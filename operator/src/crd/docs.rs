//! The reference of `LiveStream` for people, made of the CRD's own schema: what
//! the API server checks is what is written here.

use std::fmt::Write as _;

use kube::CustomResourceExt;
use serde_json::Value;

use crate::api::LiveStream;

const HEAD: &str = "# LiveStream

<!-- Printed by `millrace-operator crd --docs`; `make crd` writes it again. -->

`millrace.dev/v1alpha1`, kind `LiveStream`, namespaced; `kubectl get ls`. Only `spec.broadcaster` \
is required:

```yaml
apiVersion: millrace.dev/v1alpha1
kind: LiveStream
metadata: { name: keynote, namespace: events }
spec: { broadcaster: acme }
```

`metadata.name` is a DNS label of at most 40 characters that begins with a letter. Durations are \
one whole number and a unit: `200ms`, `60s`, `15m`, `4h`. What pods get where \
`transcode.resources` says nothing is in \
[resources.md](resources.md).
";

/// The page, ending in a line feed.
pub fn markdown() -> Result<String, serde_json::Error> {
    let crd = serde_json::to_value(LiveStream::crd())?;
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties");
    let mut page = HEAD.to_owned();
    for part in ["spec", "status"] {
        if let Some(schema) = schema.and_then(|properties| properties.get(part)) {
            section(&mut page, part, schema);
        }
    }
    Ok(page)
}

/// A heading and a table for an object, then its objects.
fn section(page: &mut String, path: &str, schema: &Value) {
    // Writing to a String can't fail.
    let _ = write!(page, "\n## {path}\n\n{}\n", description(schema));
    let mut inner = Vec::new();
    let _ = write!(page, "\n| field | is | default | |\n|---|---|---|---|\n");
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let default = match &schema["required"] {
            Value::Array(names) if names.iter().any(|one| one == name) => "required".to_owned(),
            _ if is_object(field) => String::new(),
            _ => default(field),
        };
        let text = description(field);
        let _ = writeln!(page, "| `{name}` | {} | {default} | {text} |", kind(field));
        if is_object(field) {
            inner.push((format!("{path}.{name}"), field));
        } else if is_object(&field["items"]) {
            inner.push((format!("{path}.{name}[]"), &field["items"]));
        }
    }
    let rules = rules(schema);
    if !rules.is_empty() {
        let _ = writeln!(page, "\nRules: {}.", rules.join("; "));
    }
    for (path, schema) in inner {
        section(page, &path, schema);
    }
}

fn is_object(schema: &Value) -> bool {
    schema.get("properties").is_some()
}

/// The description on one line, fit for a table.
fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

/// What a value looks like, with its bounds.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter_map(Value::as_str);
        return values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    match schema["type"].as_str().unwrap_or_default() {
        "array" => {
            let most = schema["maxItems"].as_u64().map(|n| format!(", at most {n}"));
            let each = if is_object(&schema["items"]) {
                String::new()
            } else {
                format!(" of {}", kind(&schema["items"]))
            };
            format!("list{each}{}", most.unwrap_or_default())
        }
        "integer" => match (bound(schema, "minimum"), bound(schema, "maximum")) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (_, Some(max)) => format!("at most {max}"),
            _ => "number".to_owned(),
        },
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" if schema["pattern"] == "^[0-9]{1,6}(ms|s|m|h)$" => "duration".to_owned(),
        "string" => match schema["maxLength"].as_u64() {
            Some(most) => format!("text, at most {most}"),
            None => "text".to_owned(),
        },
        "object" if is_object(schema) => "see below".to_owned(),
        "object" => "map of texts".to_owned(),
        other => other.to_owned(),
    }
}

/// Bounds are whole numbers, written as floating ones.
fn bound(schema: &Value, name: &str) -> Option<String> {
    schema[name].as_f64().map(|bound| format!("{bound}"))
}

fn default(schema: &Value) -> String {
    match schema.get("default") {
        None => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}

/// What the CEL rules of an object demand, in words. Those of single values
/// are in their descriptions.
fn rules(schema: &Value) -> Vec<&str> {
    let rules = schema["x-kubernetes-validations"].as_array();
    rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str()).collect()
}
