//! A TLS client that trusts one certificate, and what it was shown.

use std::sync::Arc;

use millrace_harness::certificate::Certificate;
use millrace_platform::tls::provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::publisher::{Answer, Publisher};

/// The bytes that a handshake shows.
pub(crate) fn der(certificate: &Certificate) -> Vec<u8> {
    CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap().to_vec()
}

/// A connection; refused if it shows another certificate than this.
pub(crate) async fn connect(
    address: &str,
    trusted: &Certificate,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(der(trusted).into()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

/// Whether a new handshake shows this certificate.
pub(crate) async fn shows(address: &str, certificate: &Certificate) -> bool {
    let Ok(stream) = connect(address, certificate, rustls::ALL_VERSIONS).await else {
        return false;
    };
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].as_ref() == der(certificate)
}

/// Publishes over TLS of these versions; the one that was agreed on.
pub(crate) async fn publish(
    address: &str,
    trusted: &Certificate,
    versions: &[&'static SupportedProtocolVersion],
    key: &str,
) -> (Publisher, ProtocolVersion) {
    let stream = connect(address, trusted, versions).await.unwrap();
    let version = stream.get_ref().1.protocol_version().unwrap();
    match Publisher::ask_over(stream, "live", key).await {
        Answer::Accepted(publisher) => (*publisher, version),
        Answer::Refused(reason) => panic!("refused: {reason}"),
    }
}
