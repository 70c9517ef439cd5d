//! A peer's TLS handshake: bounded like everything a stranger does.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info};

use super::{Certificate, Tls};
use crate::crowd::{Stage, Stranger};

/// Longest time for all of it.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSecured {
    #[error("no TLS handshake within {} s", HANDSHAKE.as_secs())]
    Late,
    #[error("the peer closed the connection inside the TLS handshake")]
    ByPeer,
    #[error("the peer speaks no TLS: its URL must begin with rtmps://")]
    Plain,
    #[error("the peer refuses TLS: it says {0:?}")]
    Refused(rustls::AlertDescription),
    #[error("the TLS handshake failed: {0}")]
    Failed(io::Error),
}

impl NotSecured {
    /// A word for a metric's label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Late => "tls_timeout",
            Self::ByPeer => "tls_closed",
            Self::Plain => "tls_plain",
            Self::Refused(_) => "tls_refused",
            Self::Failed(_) => "tls_failed",
        }
    }
}

impl From<io::Error> for NotSecured {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidMessage(
                rustls::InvalidMessage::InvalidContentType
                | rustls::InvalidMessage::UnknownProtocolVersion
                | rustls::InvalidMessage::MessageTooLarge,
            )) => Self::Plain,
            Some(rustls::Error::AlertReceived(alert)) => Self::Refused(*alert),
            None if is_gone(error.kind()) => Self::ByPeer,
            _ => Self::Failed(error),
        }
    }
}

fn is_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

impl Tls {
    /// Makes a TLS connection of a peer's, if it can be had in time. Dropping
    /// the future closes the connection.
    pub(crate) async fn secure(
        &self,
        socket: TcpStream,
        stranger: &Stranger,
    ) -> Result<TlsStream<TcpStream>, NotSecured> {
        timeout(HANDSHAKE, self.shake_hands(socket, stranger))
            .await
            .unwrap_or(Err(NotSecured::Late))
    }

    async fn shake_hands(
        &self,
        socket: TcpStream,
        stranger: &Stranger,
    ) -> Result<TlsStream<TcpStream>, NotSecured> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        // Until its hello is whole it has said nothing.
        stranger.reached(Stage::Speaking, Instant::now());
        Certificate::refresh(&self.certificate).await;
        Ok(hello.into_stream(self.config.clone()).await?)
    }

    /// Tells of one that failed; who fails often fills no log.
    pub(crate) fn tell(&self, peer: SocketAddr, error: &NotSecured) {
        let reason = error.reason();
        // Probes of load balancers connect and close.
        if !matches!(error, NotSecured::ByPeer) && self.lines.take(Instant::now()) {
            info!(%peer, reason, "refused: {error}");
        } else {
            debug!(%peer, reason, "refused: {error}");
        }
    }
}
