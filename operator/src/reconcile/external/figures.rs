//! Redis: who watches and what comes in, for the status.

use std::collections::HashMap;

use millrace_media::id::StreamId;
use millrace_platform::redis::metrics::{Amiss, Snapshot};

use super::{External, StepError};

/// One stream's last second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Who watches.
    pub viewers: u32,
    /// From the publisher, kbit/s.
    pub ingress_kbps: u32,
    /// What is amiss, by its transcoder.
    pub amiss: Amiss,
}

/// The figures of those streams that have any: that are live.
///
/// # Errors
/// `RedisUnavailable`, `RedisRefused`.
pub async fn figures(
    outside: &External,
    streams: &[StreamId],
) -> Result<HashMap<StreamId, Figures>, StepError> {
    let snapshots = outside.guards.redis.call(outside.metrics.get_snapshots(streams)).await?;
    Ok(snapshots.into_iter().map(|(stream, snapshot)| (stream, of(&snapshot))).collect())
}

fn of(Snapshot { data, amiss, .. }: &Snapshot) -> Figures {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is within bounds, and what is no number is 0"
    )]
    let ingress_kbps = (data.ingress_bitrate_mbps * 1_000.0).round().clamp(0.0, 4e9) as u32;
    Figures { viewers: data.concurrent_viewers, ingress_kbps, amiss: *amiss }
}
