//! The environment of a rendered container, with its references resolved in
//! what was rendered beside it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Secret};
use millrace_chart::helm::Rendered;
use serde_json::Value;

use super::pods;

/// Variables and values.
pub(crate) type Environment = BTreeMap<String, String>;

/// The container `container` of the pod that `object` makes, and its namespace.
pub(crate) fn container(rendered: &Rendered, object: &str, container: &str) -> (Container, String) {
    let (_, pod) = pods::of(rendered).into_iter().find(|(name, _)| name == object).unwrap();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap().to_owned();
    let all = ["initContainers", "containers"].into_iter();
    let all = all.filter_map(|list| pod["spec"][list].as_array());
    let found = all.flatten().find(|one| one["name"] == container).unwrap();
    (serde_json::from_value(Value::clone(found)).unwrap(), namespace)
}

/// Its variables. Every Secret and every key that is referred to must be there,
/// unless it is optional; Secrets that are not rendered are `given`.
pub(crate) fn environment(
    variables: &[EnvVar],
    namespace: &str,
    rendered: &Rendered,
    given: &BTreeMap<String, Environment>,
) -> Environment {
    let mut secrets = given.clone();
    for secret in rendered.of_kind::<Secret>("Secret").unwrap() {
        if secret.metadata.namespace.as_deref() == Some(namespace) {
            let text = |value| String::from_utf8(value).unwrap();
            let data = secret.data.unwrap_or_default();
            let data = data.into_iter().map(|(key, value)| (key, text(value.0)));
            secrets.insert(secret.metadata.name.unwrap(), data.collect());
        }
    }
    let mut environment = Environment::new();
    for variable in variables {
        let value = match (&variable.value, &variable.value_from) {
            (value, None) => value.clone().unwrap_or_default(),
            (_, Some(from)) => match (&from.secret_key_ref, &from.field_ref) {
                (Some(key), _) => {
                    let found = secrets.get(&key.name).and_then(|secret| secret.get(&key.key));
                    match found {
                        Some(value) => value.clone(),
                        None if key.optional == Some(true) => continue,
                        None => panic!("{}: {key:?} is not there", variable.name),
                    }
                }
                (_, Some(field)) => field.field_path.replace('.', "-"),
                _ => panic!("{variable:?}"),
            },
        };
        let twice = environment.insert(variable.name.clone(), value);
        assert_eq!(twice, None, "{} is set twice", variable.name);
    }
    environment
}
