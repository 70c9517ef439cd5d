//! The Service in front of the ingest pod.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ingest_deployment::{COMPONENT, RTMP_PORT};
use super::{Installation, labels, names};
use crate::reconcile::validated::ValidatedStream;

/// Build it.
pub fn build(stream: &ValidatedStream, installation: &Installation) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(names::child(&stream.id, COMPONENT)),
            namespace: Some(installation.workers_namespace.clone()),
            labels: Some(labels::of(stream, COMPONENT)),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some(stream.ingest.service_type.as_str().to_owned()),
            selector: Some(labels::selector(stream, COMPONENT)),
            ports: Some(vec![ServicePort {
                name: Some("rtmp".to_owned()),
                port: RTMP_PORT,
                target_port: Some(IntOrString::String("rtmp".to_owned())),
                protocol: Some("TCP".to_owned()),
                app_protocol: Some("rtmp".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
