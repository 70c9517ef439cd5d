//! `spec.packaging`: how media is cut, and how far back viewers can go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::schema::{duration_between, rules, seconds_between};

/// How media is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules(&[
    (
        "duration(self.partDuration) < duration(self.segmentDuration)",
        "partDuration must be shorter than segmentDuration",
    ),
    (
        "duration(self.dvrWindow) >= duration(self.segmentDuration) + duration(self.segmentDuration) + duration(self.segmentDuration)",
        "dvrWindow must not be shorter than three segments",
    ),
])))]
pub struct Packaging {
    /// Length of a segment, and the distance of keyframes: 1s to 10s.
    #[schemars(extend("x-kubernetes-validations" = duration_between("1s", "10s")))]
    pub segment_duration: Duration,
    /// Length of a part: 100ms to 1s. Shorter is less latency and more requests.
    #[schemars(extend("x-kubernetes-validations" = duration_between("100ms", "1s")))]
    pub part_duration: Duration,
    /// How far back a playlist reaches, in whole seconds: 10s to 12h.
    #[schemars(extend("x-kubernetes-validations" = seconds_between("10s", "12h")))]
    pub dvr_window: Duration,
}

impl Default for Packaging {
    fn default() -> Self {
        Self {
            segment_duration: Duration::from_secs(2),
            part_duration: Duration::from_millis(200),
            dvr_window: Duration::from_minutes(2),
        }
    }
}
