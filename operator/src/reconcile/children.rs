//! From built children to what is applied, and the names of all that a stream
//! may have.

use std::collections::BTreeSet;

use millrace_media::id::StreamId;

use super::build::certificate_secret::Purpose;
use super::build::{
    Children, Installation, ingest_deployment, labels, names, transcode_deployment,
};
use super::kind::Kind;
use super::prepared::{ChildRef, Prepared, Unprepared};

/// The children as manifests, in the order they are applied.
pub fn prepare(children: &Children) -> Result<Vec<Prepared>, Unprepared> {
    let mut prepared = vec![
        Prepared::typed(Kind::Service, &children.ingest_service)?,
        Prepared::typed(Kind::Service, &children.local_name)?,
    ];
    let secrets = [&children.rtmps_certificate, &children.playback_certificate];
    for secret in secrets.into_iter().flatten() {
        prepared.push(Prepared::typed(Kind::Secret, secret)?);
    }
    if let Some(budget) = &children.ingest_budget {
        prepared.push(Prepared::typed(Kind::PodDisruptionBudget, budget)?);
    }
    for deployment in [&children.ingest, &children.transcode].into_iter().flatten() {
        prepared.push(Prepared::typed(Kind::Deployment, deployment)?);
    }
    if let Some(ingress) = &children.ingress {
        prepared.push(Prepared::typed(Kind::Ingress, ingress)?);
    }
    if let Some(route) = &children.http_route {
        prepared.push(Prepared::plain(Kind::HttpRoute, route)?);
    }
    prepared.sort_by_key(|child| Kind::ALL.iter().position(|kind| *kind == child.id.kind));
    Ok(prepared)
}

/// Every child that a stream of this name may have, whatever its spec says.
pub fn possible(stream: &StreamId, installation: &Installation) -> Vec<ChildRef> {
    let worker = |kind, role| ChildRef {
        kind,
        namespace: installation.workers_namespace.clone(),
        name: names::child(stream, role),
    };
    let own = |kind, name| ChildRef { kind, namespace: stream.namespace().to_owned(), name };
    vec![
        worker(Kind::Deployment, ingest_deployment::COMPONENT),
        worker(Kind::Deployment, transcode_deployment::COMPONENT),
        worker(Kind::PodDisruptionBudget, ingest_deployment::COMPONENT),
        worker(Kind::Service, ingest_deployment::COMPONENT),
        worker(Kind::Secret, Purpose::Rtmps.component()),
        worker(Kind::Secret, Purpose::Playback.component()),
        worker(Kind::Ingress, "playback"),
        worker(Kind::HttpRoute, "playback"),
        own(Kind::Service, names::local_name(stream)),
        own(Kind::Secret, names::publish_keys(stream)),
    ]
}

/// The copies of certificates among them.
pub fn certificates(stream: &StreamId, installation: &Installation) -> Vec<ChildRef> {
    let copies = possible(stream, installation).into_iter().filter(|child| {
        child.kind == Kind::Secret && child.namespace == installation.workers_namespace
    });
    // The publish keys are there too, where both namespaces are one.
    copies.filter(|child| child.name != names::publish_keys(stream)).collect()
}

/// The one of a kind with this component among the applied ones.
pub fn find(prepared: &[Prepared], kind: Kind, component: &str) -> Option<ChildRef> {
    prepared
        .iter()
        .find(|child| {
            let all = child.manifest.pointer("/metadata/labels");
            let found = all.and_then(|all| all.get(labels::COMPONENT));
            child.id.kind == kind && found.is_some_and(|found| found == component)
        })
        .map(|child| child.id.clone())
}

/// The children's names.
pub fn names_of(prepared: &[Prepared]) -> BTreeSet<&ChildRef> {
    prepared.iter().map(|child| &child.id).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reconcile::build::{Certificate, Circumstances, children};
    use crate::reconcile::validate::validate;

    /// What is built and not among these would outlive a LiveStream that is
    /// deleted before the watches have seen it.
    #[test]
    fn everything_that_is_ever_built_is_possible() {
        let certificate = Some(Certificate { chain: b"chain".to_vec(), key: b"key".to_vec() });
        let seen = Circumstances {
            rtmps_certificate: certificate.clone(),
            playback_certificate: certificate,
            ..Circumstances::default()
        };
        let installation = Installation::default();
        let tls = json!({ "secretName": "a" });
        let playbacks = [
            json!({ "hostname": "a.example", "tls": tls }),
            json!({ "hostname": "a.example", "gateway": { "name": "a", "namespace": "b" } }),
        ];
        let mut built = BTreeSet::new();
        let mut known = BTreeSet::new();
        for playback in playbacks {
            let ingest = json!({ "protocol": "RTMPS", "tls": tls });
            let stream = serde_json::from_value(json!({
                "apiVersion": "millrace.dev/v1alpha1",
                "kind": "LiveStream",
                "metadata": { "name": "keynote", "namespace": "events", "uid": "u" },
                "spec": { "broadcaster": "acme", "ingest": ingest, "playback": playback },
            }))
            .unwrap();
            let stream = validate(&stream).unwrap();
            let children = children(&stream, &installation, &seen);
            built.extend(prepare(&children).unwrap().into_iter().map(|child| child.id));
            known.extend(possible(&stream.id, &installation));
        }
        let keys = known.iter().find(|child| child.name == "keynote-publish-keys").cloned();
        built.extend(keys);
        assert_eq!(built, known);
    }
}
