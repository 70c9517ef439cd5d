//! What was seen of a stream that its children follow: the part of the world
//! that the builders depend on and the spec does not say. Plain data, filled
//! in by whoever looks; `local` takes the default.

use std::fmt;

use crate::api::ingest::Protocol;
use crate::reconcile::validated::ValidatedStream;

/// What was seen of a stream. The default is a stream that nobody publishes,
/// whose pods are wanted and whose changes take effect at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// A publisher is connected, or its broadcast waits for it: the ingest pod
    /// must not be evicted.
    pub live: bool,
    /// The ingest pod's node is being emptied and `drainTimeout` is over: it
    /// may be evicted all the same.
    pub draining: bool,
    /// Whether transcoders are wanted now; asked only with `idle: ScaleToZero`.
    pub transcoders: Transcoders,
    /// The stream was suspended while it was live: its transcoders have the end
    /// of its broadcast to write.
    pub finishing: bool,
    /// What `spec.ingest.tls.secretName` holds; none while it is missing. Then
    /// there is no copy to apply, and the one that may be there is to be left:
    /// a publisher may be using it.
    pub rtmps_certificate: Option<Certificate>,
    /// What `spec.playback.tls.secretName` holds; none as above.
    pub playback_certificate: Option<Certificate>,
    /// Whether the stream has the host name it asks for.
    pub host: HostVerdict,
    /// What publishers are still offered, because the pod of the broadcast that
    /// is on knows nothing else; none is what the spec says.
    pub held_protocol: Option<Protocol>,
}

impl Circumstances {
    /// What publishers are offered now.
    pub fn offered(&self, stream: &ValidatedStream) -> Protocol {
        self.held_protocol.unwrap_or(stream.ingest.protocol)
    }
}

/// Whether transcoders are wanted now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transcoders {
    /// Somebody publishes, or did a moment ago.
    #[default]
    Wanted,
    /// Nobody publishes.
    Asleep,
}

/// Whether a stream has the host name it asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostVerdict {
    /// It may use it.
    #[default]
    Granted,
    /// Another stream has it, or the installation does not allow it: the stream
    /// is on the shared host only.
    Refused,
}

/// A certificate and its key, as a Secret of type `kubernetes.io/tls` has them.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `tls.crt`: the chain, PEM.
    pub chain: Vec<u8>,
    /// `tls.key`: the private key, PEM.
    pub key: Vec<u8>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}
