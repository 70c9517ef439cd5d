//! From built children to what is applied, and the names of all that a stream
//! may have.

use std::collections::BTreeSet;

use millrace_media::id::StreamId;

use super::build::certificate_secret::Purpose;
use super::build::{Children, Installation, names};
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
        worker(Kind::Deployment, "ingest"),
        worker(Kind::Deployment, "transcode"),
        worker(Kind::PodDisruptionBudget, "ingest"),
        worker(Kind::Service, "ingest"),
        worker(Kind::Secret, Purpose::Rtmps.component()),
        worker(Kind::Secret, Purpose::Playback.component()),
        worker(Kind::Ingress, "playback"),
        worker(Kind::HttpRoute, "playback"),
        own(Kind::Service, names::local_name(stream)),
        own(Kind::Secret, names::publish_keys(stream)),
    ]
}

/// The one of a kind with this component among the applied ones.
pub fn find(prepared: &[Prepared], kind: Kind, component: &str) -> Option<ChildRef> {
    prepared
        .iter()
        .find(|child| {
            let labels = child.manifest.pointer("/metadata/labels");
            let found = labels.and_then(|labels| labels.get("app.kubernetes.io/component"));
            child.id.kind == kind && found.is_some_and(|found| found == component)
        })
        .map(|child| child.id.clone())
}

/// The children's names.
pub fn names_of(prepared: &[Prepared]) -> BTreeSet<&ChildRef> {
    prepared.iter().map(|child| &child.id).collect()
}
