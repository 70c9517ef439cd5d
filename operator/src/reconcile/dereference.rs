//! Everything of Kubernetes that a reconcile has to read: what the watches
//! hold, and the Secrets, which are read one by one because nobody may list or
//! watch them.

mod certificate;

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::build::publish_keys_secret::{self, StreamKeys};
use super::build::{Certificate, names};
use super::context::Context;
use super::drains::Emptying;
use super::external::figures::Figures;
use super::external::rungs::Rungs;
use super::retry_after;
use super::seen::Seen;
use super::status::findings::LogView;
use super::validated::ValidatedStream;

/// What was found of a stream.
#[derive(Debug)]
pub struct Found {
    /// Its children and pods.
    pub seen: Seen,
    /// The Secret with its publish keys, if it was asked for.
    pub keys_secret: Option<Secret>,
    /// The node of its ingest pod is being emptied: which, and since when.
    pub drain: Option<(String, Emptying)>,
    /// What the log says.
    pub log: LogView,
    /// Whether there is something to do for a transcoder; none when that is
    /// not known.
    pub busy: Option<bool>,
    /// What Redis says.
    pub figures: Option<Figures>,
    /// What Redis says of the rungs of a broadcast.
    pub rungs: Option<Rungs>,
    /// What `spec.ingest.tls` names.
    pub rtmps_certificate: Option<Certificate>,
    /// What `spec.playback.tls` names.
    pub playback_certificate: Option<Certificate>,
    /// Which Secret is missing or no certificate, in a sentence.
    pub missing: Option<String>,
}

/// A Secret that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("can't read Secret {namespace}/{name}")]
pub struct DereferenceError {
    namespace: String,
    name: String,
    #[source]
    source: Box<kube::Error>,
}

impl DereferenceError {
    /// For how long the API server asks not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after::of(&self.source)
    }
}

impl Found {
    /// The publish keys that the Secret holds.
    pub fn keys(&self) -> StreamKeys {
        self.keys_secret.as_ref().map(publish_keys_secret::read).unwrap_or_default()
    }
}

/// Read it all. Keys that are known are not asked for.
pub async fn dereference(
    context: &Context,
    stream: &ValidatedStream,
    keys_known: bool,
) -> Result<Found, DereferenceError> {
    let namespace = stream.id.namespace();
    let keys = names::publish_keys(&stream.id);
    let seen = context.seen.get(stream.uid.as_str());
    let log = context.live.logs.get(&stream.id);
    let mut missing = None;
    let mut certificates = [None, None];
    for ((field, name), certificate) in secrets(stream).into_iter().zip(&mut certificates) {
        let Some(name) = name else { continue };
        let found = secret(&context.client, namespace, name).await?;
        match found.as_ref().map(certificate::certificate) {
            Some(Ok(found)) => *certificate = Some(found),
            Some(Err(why)) => missing = Some(format!("{field}: Secret {namespace}/{name} {why}")),
            None => missing = Some(format!("{field}: there is no Secret {namespace}/{name}")),
        }
    }
    let [rtmps_certificate, playback_certificate] = certificates;
    let keys_secret =
        if keys_known { None } else { secret(&context.client, namespace, &keys).await? };
    Ok(Found {
        keys_secret,
        drain: drain(context, &seen),
        seen,
        busy: log.is_busy(),
        log: log.into(),
        figures: context.live.figures(&stream.id),
        rungs: context.live.rungs(&stream.id),
        rtmps_certificate,
        playback_certificate,
        missing,
    })
}

/// The Secrets that a spec names for certificates, by field: of ingest, of
/// playback.
pub fn secrets(stream: &ValidatedStream) -> [(&'static str, Option<&str>); 2] {
    let host = stream.playback.host.as_ref();
    [
        ("spec.ingest.tls.secretName", stream.ingest.tls_secret.as_deref()),
        ("spec.playback.tls.secretName", host.and_then(|host| host.tls_secret.as_deref())),
    ]
}

/// Of several, the one that has waited longest.
fn drain(context: &Context, seen: &Seen) -> Option<(String, Emptying)> {
    let emptied = |node: &str| Some((node.to_owned(), context.drains.get(node)?));
    seen.ingest_nodes().filter_map(emptied).min_by_key(|(_, emptying)| emptying.since)
}

async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Secret>, DereferenceError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    api.get_opt(name).await.map_err(|source| DereferenceError {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    })
}
