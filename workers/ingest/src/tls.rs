//! RTMPS: TLS in front of RTMP, with a certificate whose files may change at
//! any time.
//!
//! ```text
//! files ─▶ pair (parsed, key fits) ─▶ certificate (what handshakes show) ─▶ handshake ─▶ connection
//! ```
//!
//! A connection keeps what it was made with; the next handshake shows what is
//! in the files by then. No session is resumed: it would show nothing.

mod certificate;
mod handshake;
mod metrics;
mod not_after;
mod pair;
mod quota;

use std::sync::Arc;
use std::time::Duration;

use millrace_platform::tls::provider;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use tokio_util::sync::CancellationToken;

use certificate::Certificate;
pub use metrics::TlsMetrics;
pub use pair::{BadPair, TlsFiles};
use quota::Quota;

/// Between looks at the files while nobody connects.
const LOOK: Duration = Duration::from_secs(10);

/// Why TLS can't be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The files can't be used.
    #[error(transparent)]
    Pair(#[from] BadPair),
    /// The TLS library knows no protocol version.
    #[error("setting up TLS 1.2 and 1.3")]
    Setup(#[source] rustls::Error),
}

/// What TLS connections are made with.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: Arc<Certificate>,
    config: Arc<ServerConfig>,
    /// Lines about peers that fail.
    lines: Quota,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: TlsFiles, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate::load(files, metrics)?);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { certificate, config: Arc::new(config), lines: Quota::default() })
    }

    /// Looks at the files now and then, until `stop`.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => Certificate::look(&self.certificate).await,
            }
        }
    }
}
