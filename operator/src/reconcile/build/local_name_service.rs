//! The name under which publishers in the stream's own namespace find it: an
//! `ExternalName` that leads to the ingest Service in the workers namespace.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::ingest_deployment::COMPONENT;
use super::{Installation, ingest_service, metadata, names};
use crate::reconcile::validated::ValidatedStream;

/// Build it.
pub fn build(stream: &ValidatedStream, installation: &Installation) -> Service {
    Service {
        metadata: metadata::of_own(stream, COMPONENT, names::local_name(&stream.id)),
        spec: Some(ServiceSpec {
            type_: Some("ExternalName".to_owned()),
            external_name: Some(ingest_service::cluster_name(stream, installation)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
