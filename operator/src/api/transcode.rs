//! `spec.transcode`: how the source is encoded, and where.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{
    KEY_PATTERN, LABEL_LENGTH, SUBDOMAIN_LENGTH, SUBDOMAIN_PATTERN, VALUE_PATTERN, rules,
};

/// How the source is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Transcode {
    /// x264's trade of CPU for quality; docs/resources.md has the figures.
    pub preset: Preset,
    /// x264's tuning: `zerolatency` sends a frame as soon as it is encoded, the
    /// others give better pictures about a second later.
    pub tune: Tune,
    /// Encoder threads per rung.
    #[schemars(range(min = 1, max = 64), extend("format" = "int32"))]
    pub threads: u32,
    /// CPU and memory of the transcode container; what is not given follows from
    /// ladder, preset and tune.
    pub resources: Resources,
    /// Where the pods may run.
    pub scheduling: Scheduling,
    /// What runs while nobody publishes: a transcoder that waits, or nothing,
    /// and a publisher is shown when a pod has started.
    pub idle: Idle,
    /// Transcoders at once. With 2 one writes and the other, on another node
    /// where there is one, holds the last pictures undecoded and takes over when
    /// the writer stands still: within about a second and a half, with nothing
    /// lost.
    #[schemars(range(min = 1, max = 2), extend("format" = "int32"))]
    pub redundancy: u32,
}

impl Default for Transcode {
    fn default() -> Self {
        Self {
            preset: Preset::default(),
            tune: Tune::default(),
            threads: 2,
            resources: Resources::default(),
            scheduling: Scheduling::default(),
            idle: Idle::default(),
            redundancy: 1,
        }
    }
}

/// x264's trade of CPU for quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// About a fifth of `fast`'s CPU.
    Ultrafast,
    /// About a third of `fast`'s CPU.
    Superfast,
    /// About half of `fast`'s CPU.
    Veryfast,
    /// Between `veryfast` and `fast`.
    Faster,
    /// Needs about 3.3 cores for the default ladder.
    #[default]
    Fast,
    /// Slower than `fast`.
    Medium,
    /// Slower than `medium`.
    Slow,
}

impl Preset {
    /// As ffmpeg's `-preset` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
        }
    }
}

/// x264's tuning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tune {
    /// No look-ahead, no B-frames: a frame leaves as soon as it is encoded.
    #[default]
    ZeroLatency,
    /// For film: better pictures, about a second later.
    Film,
    /// For cartoons: better pictures, about a second later.
    Animation,
}

impl Tune {
    /// As ffmpeg's `-tune` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZeroLatency => "zerolatency",
            Self::Film => "film",
            Self::Animation => "animation",
        }
    }
}

/// What runs while nobody publishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Idle {
    /// The transcoder waits; a publisher is shown at once.
    #[default]
    AlwaysOn,
    /// Nothing; a publisher is shown when a pod has started.
    ScaleToZero,
}

/// CPU and memory of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    (&within_limit("cpu"), "requests.cpu must not be above limits.cpu"),
    (&within_limit("memory"), "requests.memory must not be above limits.memory"),
])))]
pub struct Resources {
    /// What the scheduler sets aside.
    pub requests: ResourceAmounts,
    /// What the container may use.
    pub limits: ResourceAmounts,
}

/// An amount of each resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceAmounts {
    /// Cores: `2`, `1.5` or `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = CPU_PATTERN))]
    pub cpu: Option<String>,
    /// Bytes: `512Mi`, `2Gi`, `1G`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 16),
        regex(pattern = MEMORY_PATTERN),
        extend("x-kubernetes-validations" = rules(&[
            ("quantity(self).isInteger()", "is more than any machine has"),
        ]))
    )]
    pub memory: Option<String>,
}

fn within_limit(name: &str) -> String {
    format!(
        "!has(self.requests.{name}) || !has(self.limits.{name}) || \
         quantity(self.requests.{name}).compareTo(quantity(self.limits.{name})) <= 0"
    )
}

const CPU_PATTERN: &str = r"^[0-9]+(\.[0-9]{1,3})?$|^[0-9]+m$";
const MEMORY_PATTERN: &str = r"^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$";

/// Where the pods may run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scheduling {
    /// Labels a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 16),
        extend("additionalProperties" = serde_json::json!({
            "type": "string", "maxLength": LABEL_LENGTH, "pattern": VALUE_PATTERN,
        })),
        extend("x-kubernetes-validations" = rules(&[(
            &format!("self.all(key, key != '' && key.matches(r'{KEY_PATTERN}'))"),
            "each key must be the key of a label",
        )]))
    )]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are put up with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<TolerationSpec>,
    /// The PriorityClass of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = SUBDOMAIN_LENGTH), regex(pattern = SUBDOMAIN_PATTERN))]
    pub priority_class_name: Option<String>,
}

/// A taint that is put up with, as in a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    ("self.operator == 'Exists' || self.key != ''", "key is missing; only Exists needs none"),
    ("self.operator == 'Equal' || self.value == ''", "value is for Equal"),
])))]
pub struct TolerationSpec {
    /// The taint's key; empty with `Exists` is every taint.
    #[schemars(length(max = 316), regex(pattern = KEY_PATTERN))]
    pub key: String,
    /// How the value is compared.
    pub operator: TolerationOperator,
    /// The taint's value, for `Equal`.
    #[schemars(length(max = LABEL_LENGTH), regex(pattern = VALUE_PATTERN))]
    pub value: String,
    /// The taint's effect; none is every effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// How a toleration compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// The taint's value must be this one.
    #[default]
    Equal,
    /// The taint's key is enough.
    Exists,
}

impl TolerationOperator {
    /// As a pod has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Exists => "Exists",
        }
    }
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New pods stay away.
    NoSchedule,
    /// New pods stay away if they can.
    PreferNoSchedule,
    /// Running pods go.
    NoExecute,
}

impl TaintEffect {
    /// As a pod has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
