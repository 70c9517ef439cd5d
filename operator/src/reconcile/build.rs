//! The Kubernetes objects of a stream, a file per child. Pure: a
//! [`ValidatedStream`] and the [`Installation`] go in, objects come out.
//!
//! Workers' objects are for the workers namespace; the publish-key Secret is
//! for the stream's own.

pub(crate) mod environment;
pub mod ingest_deployment;
pub mod ingest_service;
pub mod installation;
mod labels;
mod names;
mod pod;
pub mod publish_keys_secret;
pub mod transcode_deployment;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::validated::ValidatedStream;
pub use environment::CONNECTIONS_SECRET;
pub use installation::Installation;

/// What a stream has in the workers namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// Accepts the publisher.
    pub ingest: Deployment,
    /// In front of `ingest`.
    pub ingest_service: Service,
    /// Makes the rungs.
    pub transcode: Deployment,
}

/// Build all that runs for a stream. A suspended stream has its objects too,
/// with no pods.
pub fn children(stream: &ValidatedStream, installation: &Installation) -> Children {
    Children {
        ingest: ingest_deployment::build(stream, installation),
        ingest_service: ingest_service::build(stream, installation),
        transcode: transcode_deployment::build(stream, installation),
    }
}
