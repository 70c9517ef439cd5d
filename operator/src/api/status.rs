//! `status`: what the operator says about a stream.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the operator says about a stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveStreamStatus {
    /// The one word for `kubectl get`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The generation of the spec this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The stages of a stream, each with a reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Where to publish and watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// The broadcast that is on, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<BroadcastStatus>,
    /// The rungs of the broadcast that is on, lowest first: those of the
    /// ladder that the source is high enough for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(max = 32)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub rungs: Vec<String>,
    /// Who watches now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewers: Option<i64>,
    /// What the publisher sends, in kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_bitrate_kbps: Option<i64>,
}

/// The one word for a stream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not everything is there yet.
    Pending,
    /// A publisher would be accepted and shown.
    Ready,
    /// A publisher is being shown.
    Live,
    /// A publisher is being shown, with something amiss.
    Degraded,
    /// Taken off by `spec.suspend`.
    Suspended,
    /// The spec can't be met; a condition says why.
    Failed,
    /// Being deleted.
    Terminating,
}

/// One stage of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which stage: Accepted, KeysReady, TopicsReady, CacheReady, IngestReady,
    /// TranscodeReady, PlaybackReady, UpdatePending, Live, Degraded or Ready.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: Cow<'static, str>,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One CamelCase word for machines.
    #[schemars(length(min = 1, max = 64))]
    pub reason: Cow<'static, str>,
    /// A sentence for people.
    #[schemars(length(max = 1_024))]
    pub message: Cow<'static, str>,
    /// When `status` last changed.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Time,
    /// The generation of the spec it is about.
    pub observed_generation: i64,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody knows.
    Unknown,
}

/// Where to publish and watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoints {
    /// Where to publish; the key is in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub rtmp: Option<String>,
    /// The multivariant playlist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub hls: Option<String>,
    /// The DASH manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub dash: Option<String>,
    /// Figures and events, pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub websocket: Option<String>,
    /// The page with the player.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub player: Option<String>,
}

/// The broadcast that is on, or the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastStatus {
    /// A UUIDv7.
    #[schemars(length(max = 36))]
    pub id: String,
    /// When its first publisher was accepted.
    #[schemars(schema_with = "date_time")]
    pub started: Time,
    /// When it ended; none while it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional_date_time")]
    pub ended: Option<Time>,
}

fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

fn optional_date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}
