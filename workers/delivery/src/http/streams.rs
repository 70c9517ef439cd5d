//! What a stream is doing, as all sides say it.

use millrace_platform::wall;
use serde::Serialize;
use utoipa::ToSchema;

use crate::live::snapshot::Snapshot;

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamState {
    /// A broadcast is on.
    Live,
    /// The last broadcast is over.
    Ended,
    /// Nothing was ever broadcast, or long ago.
    Offline,
}

/// Seconds from the end of the top rung's last media to now, while live.
pub fn edge_latency(snapshot: &Snapshot) -> Option<f64> {
    if snapshot.current.has_ended() {
        return None;
    }
    let edge_ms = snapshot.current.edge_ms()?;
    // The writer's clock may be ahead of ours.
    let behind_ms = wall::ms().saturating_sub(edge_ms).max(0);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Some(behind_ms as f64 / 1_000.0)
}
