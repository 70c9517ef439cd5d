//! From counters and presence to the snapshot and the row. Pure.

use millrace_media::id::StreamId;
use millrace_platform::postgres::metrics::Second;
use millrace_platform::redis::metrics::{Counters, MetricsData, Snapshot};
use millrace_platform::redis::viewers::Audience;

/// One second of one stream.
pub(super) fn sum(
    stream: StreamId,
    second: u64,
    counted: &Counters,
    audience: Audience,
) -> (Snapshot, Second) {
    let egress = counted.egress_bytes.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let row = Second {
        stream: stream.clone(),
        broadcast: counted.broadcast,
        at_s: i64::try_from(second).unwrap_or(i64::MAX),
        viewers: audience.viewers,
        ingress_kbps: kbps(counted.ingress_bytes),
        egress_kbps: kbps(egress),
        quality: audience.by_rung.clone(),
        dropped_frames: counted.dropped_frames,
        buffering_events: counted.buffering_events,
    };
    let data = MetricsData {
        stream_id: stream,
        concurrent_viewers: audience.viewers,
        ingress_bitrate_mbps: mbps(row.ingress_kbps),
        egress_bitrate_mbps: mbps(row.egress_kbps),
        quality_distribution: audience.by_rung,
        dropped_frames: counted.dropped_frames,
        buffering_events: counted.buffering_events,
    };
    let turnover = Some(audience.turnover);
    let (broadcast, log_lag_ms) = (counted.broadcast, counted.log_lag_ms);
    let amiss = counted.amiss;
    (Snapshot { second, broadcast, data, turnover, log_lag_ms, amiss }, row)
}

/// Of bytes in a second, rounded.
fn kbps(bytes: u64) -> u64 {
    bytes.saturating_mul(8).saturating_add(500) / 1_000
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mbps(kbps: u64) -> f64 {
    kbps as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use millrace_platform::redis::metrics::Amiss;
    use millrace_platform::redis::viewers::Turnover;

    use super::*;

    #[test]
    fn bytes_of_a_second_become_bitrates() {
        let name = |text: &str| text.parse().unwrap();
        let counted = Counters {
            ingress_bytes: 375_000,
            egress_bytes: [(name("480p"), 1_000_000), (name("audio"), 250_062)].into(),
            log_lag_ms: Some(12),
            amiss: Amiss { store_away: true, gop_too_long: false },
            ..Counters::default()
        };
        let by_rung = [(name("480p"), 7)].into();
        let audience = Audience { viewers: 8, by_rung, turnover: Turnover::default() };
        let (snapshot, row) = sum("a.b".parse().unwrap(), 7, &counted, audience);
        assert_eq!((row.at_s, row.ingress_kbps, row.egress_kbps), (7, 3_000, 10_000));
        assert!((snapshot.data.egress_bitrate_mbps - 10.0).abs() < 1e-9);
        assert_eq!((snapshot.log_lag_ms, snapshot.amiss), (Some(12), counted.amiss));
        assert_eq!((row.viewers, row.quality[&name("480p")]), (8, 7));
    }
}
