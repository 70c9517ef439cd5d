//! Every field of the spec does something: a table of all of them, each
//! changed once, with all that becomes different by it.
//!
//! The list of fields is the CRD's own, so a new field without a row fails,
//! and so does a row whose field has no effect, or another one than it says.

#[cfg(test)]
mod results;
#[cfg(test)]
mod table;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use crate::results::results;
    use crate::table::{Row, table};

    #[test]
    fn the_table_has_every_field_of_the_schema() {
        let rows: BTreeSet<_> = table().iter().map(|row| row.field.to_owned()).collect();
        assert_eq!(rows, fields());
    }

    /// The stream that `local` is tested with has all that one stream can have.
    #[test]
    fn the_manifest_of_every_field_has_every_field() {
        let text = include_str!("../local/every-field.yaml");
        let stream = text.split("---").next().unwrap();
        let manifest: Value = serde_yaml::from_str(stream).unwrap();
        let absent: Vec<_> = fields()
            .into_iter()
            .filter(|field| {
                let pointer = format!("/spec/{}", field.replace("[]", "/0").replace('.', "/"));
                manifest.pointer(&pointer).is_none()
            })
            .collect();
        let excluded =
            ["playback.gateway.name", "playback.gateway.namespace", "playback.gateway.sectionName"];
        assert_eq!(absent, excluded);
    }

    fn fields() -> BTreeSet<String> {
        let crd: Value = serde_yaml::from_str(&millrace_operator::crd::yaml().unwrap()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let mut fields = BTreeSet::new();
        leaves("", schema, &mut fields);
        fields
    }

    fn leaves(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, child) in properties {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(&format!("{path}{dot}{name}"), child, found);
            }
        } else if schema.get("items").is_some() {
            leaves(&format!("{path}[]"), &schema["items"], found);
        } else {
            found.insert(path.to_owned());
        }
    }

    #[test]
    fn every_field_changes_what_its_row_says_and_nothing_else() {
        for Row { field, mut before, changes, differs } in table() {
            before["broadcaster"] = json!("acme");
            let mut after = before.clone();
            for (pointer, value) in changes {
                set(&mut after, pointer, value);
            }
            let old = results(&before).unwrap_or_else(|error| panic!("{field}: {error}"));
            let found: BTreeSet<String> = match results(&after) {
                Ok(new) => old
                    .iter()
                    .filter(|(n, was)| new[*n] != **was)
                    .map(|(n, _)| (*n).to_owned())
                    .collect(),
                Err(error) => BTreeSet::from([format!("refused: {}", error.field)]),
            };
            let told: BTreeSet<String> = differs.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(found, told, "{field}");
        }
    }

    fn set(spec: &mut Value, pointer: &str, value: Value) {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = spec.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in the spec"));
        parent[name] = value;
    }
}
