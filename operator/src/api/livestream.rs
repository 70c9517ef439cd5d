//! The resource itself and the frame of its spec.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broadcaster::Broadcaster;
use super::deletion::DeletionPolicy;
use super::ingest::Ingest;
use super::keys::{self, KeySpec};
use super::ladder::{self, RungSpec};
use super::packaging::Packaging;
use super::playback::Playback;
use super::schema::rules;
use super::status::LiveStreamStatus;
use super::transcode::Transcode;

/// What a broadcaster wants: who publishes, how it is encoded, who may watch.
/// Only `broadcaster` is required.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "millrace.dev",
    version = "v1alpha1",
    kind = "LiveStream",
    plural = "livestreams",
    shortname = "ls",
    category = "streaming",
    namespaced,
    status = "LiveStreamStatus",
    derive = "PartialEq",
    doc = "A live video stream: published by RTMP to its Service, watched as adaptive low-latency HLS and DASH.",
    validation = kube::core::Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z][a-z0-9-]*$')")
        .message("metadata.name must be a DNS label of at most 40 characters that begins with a letter: names of Services begin with it"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Viewers", type_ = "integer", json_path = ".status.viewers"),
    printcolumn(
        name = "Ingress",
        type_ = "integer",
        json_path = ".status.ingressBitrateKbps",
        description = "What the publisher sends, in kbit/s"
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.endpoints.hls"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct LiveStreamSpec {
    /// Who owns the stream and its publish keys.
    pub broadcaster: Broadcaster,
    /// How a publisher reaches the stream.
    #[serde(default)]
    pub ingest: Ingest,
    /// Publish keys; the Secret `<name>-publish-keys` holds one entry for each.
    #[serde(default = "keys::default_keys")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub keys: Vec<KeySpec>,
    /// The qualities viewers choose from. Rungs above the source's height are
    /// left out when a broadcast starts; at least one stays.
    #[serde(default = "ladder::default_ladder")]
    #[schemars(
        length(min = 1, max = 8),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = rules(&[(
                "self.all(a, self.exists_one(b, a.height == b.height))",
                "two rungs have the same height",
            )])
        )
    )]
    pub ladder: Vec<RungSpec>,
    /// How the source is encoded.
    #[serde(default)]
    pub transcode: Transcode,
    /// How media is cut.
    #[serde(default)]
    pub packaging: Packaging,
    /// How viewers reach the stream.
    #[serde(default)]
    pub playback: Playback,
    /// Take the stream off: a broadcast that is on ends, no publisher is
    /// accepted, nothing runs. Keys and addresses stay.
    #[serde(default)]
    pub suspend: bool,
    /// What becomes of recorded media and rows when the stream is deleted: they
    /// stay, or go with it. The topic and cached state always go.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Why this release can't read it; then nothing else of it counts but which
    /// host name it claims and what is kept of it. Only who reads leniently sets
    /// it, and it is never written.
    #[serde(skip)]
    pub unread: Option<Unread>,
}

/// Why a spec can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The path of the field, for example `spec.transcode.preset`.
    pub field: String,
    /// What was found and what is expected.
    pub why: String,
}

impl LiveStreamSpec {
    /// In the place of one that can't be read. Its broadcaster is nobody, so
    /// that it can't be taken for a valid one.
    pub fn of_unread(unread: Unread) -> Self {
        Self {
            broadcaster: Broadcaster(String::new()),
            ingest: Ingest::default(),
            keys: Vec::new(),
            ladder: Vec::new(),
            transcode: Transcode::default(),
            packaging: Packaging::default(),
            playback: Playback::default(),
            suspend: false,
            deletion_policy: DeletionPolicy::default(),
            unread: Some(unread),
        }
    }
}
