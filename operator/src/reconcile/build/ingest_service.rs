//! The Service in front of the ingest pod.
//!
//! RTMP is at 1935, RTMPS at 443: publishing programs take these for `rtmp://`
//! and `rtmps://` addresses without a port. A stream offers one of the two.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::ingest_deployment::COMPONENT;
use super::{Circumstances, Installation, labels, metadata, names};
use crate::api::ingest::{Protocol, ServiceType};
use crate::reconcile::validated::ValidatedStream;

/// Build it.
pub fn build(
    stream: &ValidatedStream,
    installation: &Installation,
    seen: &Circumstances,
) -> Service {
    let ingest = &stream.ingest;
    let offered = seen.offered(stream);
    let protocol = offered.as_str();
    Service {
        metadata: metadata::of_worker(
            stream,
            installation,
            COMPONENT,
            names::child(&stream.id, COMPONENT),
        ),
        spec: Some(ServiceSpec {
            type_: Some(ingest.service_type.as_str().to_owned()),
            selector: Some(labels::selector(stream, COMPONENT)),
            ports: Some(vec![ServicePort {
                name: Some(protocol.to_owned()),
                port: i32::from(port(offered)),
                target_port: Some(IntOrString::String(protocol.to_owned())),
                protocol: Some("TCP".to_owned()),
                app_protocol: Some(protocol.to_owned()),
                ..ServicePort::default()
            }]),
            // Ingest counts failures per address, so it should see the
            // publisher's and not a node's. A balancer asks the nodes which of
            // them has the pod; with a node port nobody does, and the address
            // people are given may be any node's.
            external_traffic_policy: (ingest.service_type == ServiceType::LoadBalancer)
                .then(|| "Local".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The Service's port.
pub(crate) fn port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Rtmp => 1935,
        Protocol::Rtmps => 443,
    }
}

/// Its name in the cluster's DNS.
pub(super) fn cluster_name(stream: &ValidatedStream, installation: &Installation) -> String {
    format!(
        "{}.{}.svc.{}",
        names::child(&stream.id, COMPONENT),
        installation.workers_namespace,
        installation.cluster_domain
    )
}
