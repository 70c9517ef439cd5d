//! Where to publish and watch: the addresses in a stream's status. Pure; what
//! Kubernetes has assigned to the ingest Service is an argument.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;

use crate::api::ingest::{Protocol, ServiceType};
use crate::api::status::Endpoints;

use super::build::circumstances::HostVerdict;
use super::build::{Circumstances, Installation, ingest_service, names};
use super::hosts;
use super::validated::{OwnHost, Route, ValidatedStream};

/// The application that publishers name in their address.
const APP: &str = "live";

/// What Kubernetes has assigned to the ingest Service by now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedService {
    /// The port of every node.
    pub node_port: Option<u16>,
    /// The balancer's name or address.
    pub balancer: Option<String>,
    /// What it offers publishers, by the name of its port.
    pub protocol: Option<Protocol>,
}

impl ObservedService {
    /// Read it from the Service.
    pub fn of(service: &Service) -> Self {
        let port = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()?.first());
        let balancer = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref()?.first());
        Self {
            node_port: port.and_then(|port| u16::try_from(port.node_port?).ok()),
            balancer: balancer.and_then(|one| one.hostname.clone().or_else(|| one.ip.clone())),
            protocol: port.and_then(|port| Protocol::of(port.name.as_deref()?)),
        }
    }
}

/// All addresses that are known by now.
pub fn endpoints(
    stream: &ValidatedStream,
    installation: &Installation,
    seen: &Circumstances,
    observed: &ObservedService,
) -> Endpoints {
    let base = viewers_base(stream, installation, seen);
    let id = &stream.id;
    let page = |path: String| base.as_ref().map(|base| format!("{base}{path}"));
    Endpoints {
        rtmp: publish(stream, installation, seen.offered(stream), observed),
        hls: page(format!("/hls/{id}/index.m3u8")),
        dash: page(format!("/dash/{id}/manifest.mpd")),
        // http → ws, https → wss
        websocket: base
            .as_ref()
            .and_then(|base| base.strip_prefix("http"))
            .map(|rest| format!("ws{rest}/ws/stream/{id}")),
        player: page(format!("/watch/{id}")),
    }
}

/// `rtmp://host:port/live`, as far out as the Service reaches.
fn publish(
    stream: &ValidatedStream,
    installation: &Installation,
    protocol: Protocol,
    observed: &ObservedService,
) -> Option<String> {
    let port = ingest_service::port(protocol);
    let (host, port) = match stream.ingest.service_type {
        ServiceType::ClusterIP => {
            let local = names::local_name(&stream.id);
            let namespace = stream.id.namespace();
            (format!("{local}.{namespace}.svc.{}", installation.cluster_domain), port)
        }
        ServiceType::NodePort => (installation.external_host.clone()?, observed.node_port?),
        ServiceType::LoadBalancer => (observed.balancer.clone()?, port),
    };
    let scheme = protocol.as_str();
    Some(format!("{scheme}://{}:{port}/{APP}", in_url(&host)))
}

/// An IPv6 address is bracketed.
fn in_url(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    }
}

/// `https://host`, without a slash at the end.
fn viewers_base(
    stream: &ValidatedStream,
    installation: &Installation,
    seen: &Circumstances,
) -> Option<String> {
    match &stream.playback.host {
        Some(own) if seen.host == HostVerdict::Granted => {
            let scheme = if is_https(own, installation) { "https" } else { "http" };
            Some(format!("{scheme}://{}", own.hostname))
        }
        _ => installation.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
    }
}

/// With an Ingress the stream brings the certificate, with a Gateway the
/// listener has it, and the installation's rules say so.
fn is_https(own: &OwnHost, installation: &Installation) -> bool {
    match &own.route {
        Some(Route::Gateway(parent)) => installation
            .playback_rules
            .0
            .iter()
            .flat_map(|rule| &rule.gateways)
            .any(|gateway| hosts::is(gateway, parent) && gateway.https),
        _ => own.tls_secret.is_some(),
    }
}

#[cfg(test)]
mod tests;
