//! What a stream is once its spec has been checked: typed, complete, and all
//! that the builders and the outside need.

use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_media::ladder::Rung;
use millrace_media::published::Access;

use crate::api::deletion::DeletionPolicy;
use crate::api::ingest::{Protocol, ServiceType, Takeover};
use crate::api::playback::GatewayParent;
use crate::api::transcode::{Idle, Preset, Scheduling, Tune};
use crate::reconcile::build::quantity::{Bytes, MilliCores};

/// A stream whose spec holds together.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedStream {
    /// `<namespace>.<name>`.
    pub id: StreamId,
    /// The UID of the LiveStream, on all that belongs to it.
    pub uid: Uid,
    /// Who owns it and its keys.
    pub broadcaster: BroadcasterId,
    /// The publisher's side.
    pub ingest: ValidatedIngest,
    /// The spec's publish keys, each name once.
    pub keys: Vec<ValidatedKey>,
    /// Lowest first; each name and height once; not empty.
    pub ladder: Vec<Rung>,
    /// The encoder's side.
    pub transcode: ValidatedTranscode,
    /// How media is cut.
    pub packaging: ValidatedPackaging,
    /// The viewers' side.
    pub playback: ValidatedPlayback,
    /// Nothing of it runs.
    pub suspended: bool,
    /// What is kept when it is deleted.
    pub deletion_policy: DeletionPolicy,
}

/// A Kubernetes UID: the identity of one LiveStream over all of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uid(pub(super) String);

impl Uid {
    /// The whole text; fit for a label's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who owns a stream: a DNS label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcasterId(pub(super) String);

impl BroadcasterId {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The publisher's side.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedIngest {
    /// What publishers speak; the other is not offered.
    pub protocol: Protocol,
    /// The Secret with the certificate, in the stream's namespace; there
    /// exactly with RTMPS.
    pub tls_secret: Option<String>,
    /// How far the Service reaches.
    pub service_type: ServiceType,
    /// How long a broadcast waits for its publisher, whole seconds.
    pub reconnect_window: Duration,
    /// How long the log keeps frames.
    pub replay_window: Duration,
    /// 0 is no limit.
    pub max_bitrate_kbps: u32,
    /// What a second publisher does.
    pub takeover: Takeover,
}

/// One publish key of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedKey {
    /// A DNS label of at most 32 characters.
    pub name: String,
    /// A new number makes a new key.
    pub rotation: u32,
    /// How long the one before is still good.
    pub overlap: Duration,
}

/// The encoder's side.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedTranscode {
    /// x264's preset.
    pub preset: Preset,
    /// x264's tuning.
    pub tune: Tune,
    /// Encoder threads per rung, 1 to 64.
    pub threads: u32,
    /// What the spec wants set aside.
    pub requests: Amounts,
    /// What the spec allows; not below `requests`.
    pub limits: Amounts,
    /// Where pods may run.
    pub scheduling: Scheduling,
    /// What runs while nobody publishes.
    pub idle: Idle,
    /// Pods at once, 1 or 2.
    pub replicas: i32,
}

/// CPU and memory, as far as the spec says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: Option<MilliCores>,
    /// Bytes.
    pub memory: Option<Bytes>,
}

/// How media is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedPackaging {
    /// Whole milliseconds.
    pub segment_duration: Duration,
    /// Whole milliseconds, shorter than a segment.
    pub part_duration: Duration,
    /// Whole seconds, at least three segments.
    pub dvr_window: Duration,
}

/// The viewers' side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedPlayback {
    /// A host of its own, and what routes it.
    pub host: Option<OwnHost>,
    /// Who may watch.
    pub access: Access,
}

/// A host name of the stream's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnHost {
    /// A DNS subdomain.
    pub hostname: String,
    /// What routes it; none is the installation's default.
    pub route: Option<Route>,
    /// The certificate's Secret.
    pub tls_secret: Option<String>,
}

/// What routes an own host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// An Ingress of this class.
    Ingress(String),
    /// An HTTPRoute under this Gateway.
    Gateway(GatewayParent),
}
