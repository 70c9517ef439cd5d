//! A certificate of the stream's namespace, copied to the workers namespace:
//! pods and Ingresses can only name Secrets of their own.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use millrace_media::id::StreamId;

use super::circumstances::Certificate;
use super::{Installation, metadata, names};
use crate::reconcile::validated::ValidatedStream;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Publishers' connections to ingest.
    Rtmps,
    /// Viewers' connections to the stream's own host name.
    Playback,
}

impl Purpose {
    pub(crate) fn component(self) -> &'static str {
        match self {
            Self::Rtmps => "rtmps-tls",
            Self::Playback => "play-tls",
        }
    }
}

/// The copy's name, in the workers namespace.
pub fn name(stream: &StreamId, purpose: Purpose) -> String {
    names::child(stream, purpose.component())
}

/// Build it.
pub fn build(
    stream: &ValidatedStream,
    installation: &Installation,
    purpose: Purpose,
    certificate: &Certificate,
) -> Secret {
    let entry = |name: &str, bytes: &[u8]| (name.to_owned(), ByteString(bytes.to_vec()));
    Secret {
        metadata: metadata::of_worker(
            stream,
            installation,
            purpose.component(),
            name(&stream.id, purpose),
        ),
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(BTreeMap::from([
            entry("tls.crt", &certificate.chain),
            entry("tls.key", &certificate.key),
        ])),
        ..Secret::default()
    }
}
