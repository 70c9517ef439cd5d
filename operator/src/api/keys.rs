//! `spec.keys`: the publish keys a stream has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::schema::{LABEL_PATTERN, duration_between};

/// One publish key. The key itself is made by the operator and stands in the
/// stream's Secret under this name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySpec {
    /// A DNS label of at most 32 characters.
    #[schemars(length(min = 1, max = 32), regex(pattern = LABEL_PATTERN))]
    pub name: String,
    /// Any other number than the last makes a new key.
    #[serde(default)]
    #[schemars(range(max = 1_000_000), extend("format" = "int32"))]
    pub rotation: u32,
    /// How long the key before a rotation is still good: 0s to 24h.
    #[serde(default = "default_overlap")]
    #[schemars(extend("x-kubernetes-validations" = duration_between("0s", "24h")))]
    pub overlap: Duration,
}

fn default_overlap() -> Duration {
    Duration::from_minutes(10)
}

/// One key named `main`.
pub fn default_keys() -> Vec<KeySpec> {
    vec![KeySpec { name: "main".to_owned(), rotation: 0, overlap: default_overlap() }]
}
