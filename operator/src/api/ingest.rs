//! `spec.ingest`: how a publisher reaches the stream, and how long the log
//! and a broadcast wait for one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::schema::{
    SUBDOMAIN_LENGTH, SUBDOMAIN_PATTERN, duration_between, rules, seconds_between,
};

/// How a publisher reaches the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    ("self.protocol != 'RTMPS' || has(self.tls)", "RTMPS needs tls.secretName"),
    ("self.protocol == 'RTMPS' || !has(self.tls)", "tls is for RTMPS"),
    (
        "duration(self.reconnectWindow) <= duration(self.replayWindow)",
        "reconnectWindow must not be longer than replayWindow",
    ),
])))]
pub struct Ingest {
    /// What the publisher speaks: RTMP at port 1935 of the Service, or RTMPS at
    /// 443. The other is not offered.
    pub protocol: Protocol,
    /// The Service in front of the ingest pod.
    pub service: IngestService,
    /// The certificate for RTMPS. It is copied to where the workers run, and a
    /// renewed one is taken up by the next connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSecret>,
    /// How long a broadcast waits for its publisher to come back, in whole
    /// seconds: 1s to 1h.
    #[schemars(extend("x-kubernetes-validations" = seconds_between("1s", "1h")))]
    pub reconnect_window: Duration,
    /// How far back frames can be replayed after a fault: 1m to 24h. The log
    /// takes about bitrate × replayWindow of disk, per replica.
    #[schemars(extend("x-kubernetes-validations" = duration_between("1m", "24h")))]
    pub replay_window: Duration,
    /// A publisher above this for 10 s is refused, in kbit/s. 0 is no limit.
    #[schemars(range(max = 1_000_000), extend("format" = "int32"))]
    pub max_bitrate_kbps: u32,
    /// What happens to a publisher when a second one comes with a good key: it
    /// is replaced only when it has been silent for 5 s, always, or never.
    pub takeover: Takeover,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            service: IngestService::default(),
            tls: None,
            reconnect_window: Duration::from_secs(60),
            replay_window: Duration::from_minutes(15),
            max_bitrate_kbps: 0,
            takeover: Takeover::default(),
        }
    }
}

/// What the publisher speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// RTMP over plain TCP.
    #[default]
    #[serde(rename = "RTMP")]
    Rtmp,
    /// RTMP over TLS.
    #[serde(rename = "RTMPS")]
    Rtmps,
}

impl Protocol {
    /// As addresses and ports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
        }
    }

    /// What addresses and ports call so.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Rtmp, Self::Rtmps].into_iter().find(|protocol| protocol.as_str() == text)
    }
}

/// The Service in front of the ingest pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngestService {
    /// How far it reaches: inside the cluster only, to a port of every node, or
    /// to an address of the cloud's load balancer.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
}

/// How far the ingest Service reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster only.
    #[default]
    ClusterIP,
    /// A port of every node.
    NodePort,
    /// An address of the cloud's load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// As a Service's `spec.type` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// A Secret of type `kubernetes.io/tls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSecret {
    /// Its name, in the stream's namespace; of type `kubernetes.io/tls`.
    #[schemars(length(min = 1, max = SUBDOMAIN_LENGTH), regex(pattern = SUBDOMAIN_PATTERN))]
    pub secret_name: String,
}

/// What happens to a publisher when a second one comes with a good key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Takeover {
    /// A live publisher stays; one that has been silent for 5 s is replaced.
    #[default]
    IfSilent,
    /// The new one replaces it.
    Always,
    /// The new one is refused.
    Never,
}

impl Takeover {
    /// As the variable `TAKEOVER` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfSilent => "IfSilent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}
