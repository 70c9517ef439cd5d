//! Certificates that LiveStreams name: Secrets of type `kubernetes.io/tls` in
//! the same files. They are read once; a changed file is seen by the next run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;

use crate::reconcile::build::Certificate;

/// By namespace and name.
#[derive(Debug, Default)]
pub(super) struct Certificates(BTreeMap<(String, String), Certificate>);

impl Certificates {
    /// Takes one up; says what is wrong with it, never what it holds.
    pub(super) fn add(&mut self, secret: Secret) -> Result<(), String> {
        let namespace = secret.metadata.namespace.unwrap_or_else(|| "default".to_owned());
        let name = secret.metadata.name.ok_or("Secret: metadata.name: is missing")?;
        let of = format!("Secret {namespace}/{name}");
        let kind = secret.type_.unwrap_or_default();
        if kind != "kubernetes.io/tls" {
            return Err(format!("{of}: type: is {kind:?}, expected kubernetes.io/tls"));
        }
        let data = secret.data.unwrap_or_default();
        let text = secret.string_data.unwrap_or_default();
        // stringData wins, as in Kubernetes.
        let entry = |key: &str| {
            let text = text.get(key).map(|text| text.clone().into_bytes());
            text.or_else(|| Some(data.get(key)?.0.clone())).ok_or(format!("{of}: has no {key}"))
        };
        let certificate = Certificate { chain: entry("tls.crt")?, key: entry("tls.key")? };
        match self.0.insert((namespace, name), certificate) {
            None => Ok(()),
            Some(_) => Err(format!("{of} is there twice")),
        }
    }

    /// The one of this namespace and name.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Certificate> {
        self.0.get(&(namespace.to_owned(), name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add(all: &mut Certificates, secret: serde_json::Value) -> Result<(), String> {
        all.add(serde_json::from_value(secret).unwrap())
    }

    #[test]
    fn data_and_string_data_are_read_and_the_latter_wins() {
        let mut all = Certificates::default();
        let secret = json!({
            "metadata": { "name": "tls", "namespace": "events" },
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": "Y2hhaW4=", "tls.key": "b2xk" },
            "stringData": { "tls.key": "new" },
        });
        add(&mut all, secret.clone()).unwrap();
        let found = all.get("events", "tls").unwrap();
        assert_eq!((&*found.chain, &*found.key), (&b"chain"[..], &b"new"[..]));
        assert!(all.get("default", "tls").is_none());
        assert_eq!(add(&mut all, secret).unwrap_err(), "Secret events/tls is there twice");
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        let tls = |data| json!({ "metadata": { "name": "a" }, "type": "kubernetes.io/tls", "stringData": data });
        for (secret, says) in [
            (tls(json!({ "tls.crt": "hunter2" })), "Secret default/a: has no tls.key"),
            (
                json!({ "metadata": { "name": "a" }, "type": "Opaque" }),
                "expected kubernetes.io/tls",
            ),
            (json!({}), "metadata.name"),
        ] {
            let error = add(&mut Certificates::default(), secret).unwrap_err();
            assert!(error.contains(says) && !error.contains("hunter2"), "{error}");
        }
    }
}
