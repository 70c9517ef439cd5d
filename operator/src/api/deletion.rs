//! `spec.deletionPolicy`: what is kept of a deleted stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of what is outside Kubernetes (topic, rows, media) when the
/// stream is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The topic and cached state go; broadcasts, metrics and media stay.
    #[default]
    Retain,
    /// Everything goes.
    Delete,
}
