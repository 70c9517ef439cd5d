//! The Kubernetes objects of a stream, a file per child. Pure: a
//! [`ValidatedStream`], the [`Installation`] and the [`Circumstances`] go in,
//! objects come out.
//!
//! Workers' objects are for the workers namespace; the publish-key Secret and
//! the local name are for the stream's own.
//!
//! Objects are built as the API server stores them (no empty value, no
//! `false` where it leaves it out, quantities in their canonical form), so
//! that what is built is a subset of what is stored, and a reconcile that
//! changes nothing finds no difference.

mod certificate_authority;
pub mod certificate_secret;
pub mod circumstances;
mod deployment;
pub(crate) mod environment;
pub mod http_route;
pub mod ingest_deployment;
pub mod ingest_disruption_budget;
pub mod ingest_service;
pub mod ingress;
pub mod installation;
pub mod labels;
pub mod local_name_service;
mod metadata;
pub(crate) mod names;
pub mod playback_rules;
mod pod;
pub mod publish_keys_secret;
pub mod quantity;
mod resources;
pub mod transcode_deployment;
pub(crate) mod viewer_paths;

use std::fmt;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::validated::ValidatedStream;
use certificate_secret::Purpose;
use circumstances::HostVerdict;
pub use circumstances::{Certificate, Circumstances, Transcoders};
pub use http_route::HTTPRoute;
pub use installation::Installation;

/// What a stream has in Kubernetes; what is none it has not, and what of it
/// is still there is to be pruned.
///
/// The publish-key Secret is apart ([`publish_keys_secret`]): it holds what no
/// spec says.
#[derive(Clone, PartialEq)]
pub struct Children {
    /// Accepts the publisher.
    pub ingest: Option<Deployment>,
    /// In front of `ingest`.
    pub ingest_service: Service,
    /// Keeps the ingest pod while somebody publishes.
    pub ingest_budget: Option<PodDisruptionBudget>,
    /// Makes the rungs.
    pub transcode: Option<Deployment>,
    /// Leads to `ingest_service`; in the stream's own namespace.
    pub local_name: Service,
    /// The certificate for publishers.
    pub rtmps_certificate: Option<Secret>,
    /// The certificate for viewers of the own host name.
    pub playback_certificate: Option<Secret>,
    /// Routes the own host name.
    pub ingress: Option<Ingress>,
    /// The same, under a Gateway.
    pub http_route: Option<HTTPRoute>,
}

/// Names only: certificates hold keys.
impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            self.ingest.as_ref().map(|one| ("Deployment", &one.metadata)),
            self.transcode.as_ref().map(|one| ("Deployment", &one.metadata)),
            Some(("Service", &self.ingest_service.metadata)),
            self.ingest_budget.as_ref().map(|one| ("PodDisruptionBudget", &one.metadata)),
            Some(("Service", &self.local_name.metadata)),
            self.rtmps_certificate.as_ref().map(|one| ("Secret", &one.metadata)),
            self.playback_certificate.as_ref().map(|one| ("Secret", &one.metadata)),
            self.ingress.as_ref().map(|one| ("Ingress", &one.metadata)),
            self.http_route.as_ref().map(|one| ("HTTPRoute", &one.metadata)),
        ];
        let names = names.into_iter().flatten();
        let names =
            names.map(|(kind, meta)| format!("{kind} {}", meta.name.as_deref().unwrap_or("")));
        f.debug_set().entries(names).finish()
    }
}

/// Build all that a stream has. A suspended one has nothing that runs; its
/// addresses and certificates stay, and its transcoders until they have written
/// the end of its broadcast.
pub fn children(
    stream: &ValidatedStream,
    installation: &Installation,
    seen: &Circumstances,
) -> Children {
    let runs = !stream.suspended;
    let host = stream.playback.host.as_ref().filter(|_| seen.host == HostVerdict::Granted);
    let copy = |wanted: bool, purpose, certificate: &Option<Certificate>| {
        let certificate = certificate.as_ref().filter(|_| wanted)?;
        Some(certificate_secret::build(stream, installation, purpose, certificate))
    };
    let rtmps = stream.ingest.tls_secret.is_some();
    let https = host.is_some_and(|host| host.tls_secret.is_some());
    Children {
        ingest: runs.then(|| ingest_deployment::build(stream, installation)),
        ingest_service: ingest_service::build(stream, installation, seen),
        ingest_budget: runs.then(|| ingest_disruption_budget::build(stream, installation, seen)),
        transcode: (runs || seen.finishing)
            .then(|| transcode_deployment::build(stream, installation, seen)),
        local_name: local_name_service::build(stream, installation),
        rtmps_certificate: copy(rtmps, Purpose::Rtmps, &seen.rtmps_certificate),
        playback_certificate: copy(https, Purpose::Playback, &seen.playback_certificate),
        ingress: host.and_then(|host| ingress::build(stream, installation, host)),
        http_route: host.and_then(|host| http_route::build(stream, installation, host)),
    }
}
