//! The counters and snapshots of each second.

use std::collections::BTreeMap;

use millrace_media::id::{BroadcastId, StreamId};
use millrace_platform::redis::Redis;
use millrace_platform::redis::metrics::{Amiss, Counters, MetricsData, MetricsStore, Snapshot};
use millrace_platform::redis::viewers::Turnover;
use serde_json::json;
use uuid::Uuid;

use crate::server::{Server, config, installation};

fn store(server: &Server) -> MetricsStore {
    let redis = Redis::connect(&config(server).metrics, "metrics").unwrap();
    MetricsStore::new(redis, installation())
}

fn counters(ingress_bytes: u64, egress: &[(&str, u64)], stalls: u64) -> Counters {
    let egress_bytes = egress.iter().map(|(name, n)| (name.parse().unwrap(), *n)).collect();
    Counters { ingress_bytes, egress_bytes, buffering_events: stalls, ..Counters::default() }
}

#[tokio::test]
async fn what_replicas_counted_in_a_second_is_summed_and_telling_twice_changes_nothing() {
    let server = Server::start();
    let store = store(&server);
    let (one, two): (StreamId, StreamId) = ("a.one".parse().unwrap(), "a.two".parse().unwrap());
    let broadcast = Some(BroadcastId(Uuid::now_v7()));
    let live = Counters { broadcast, ..counters(1_000, &[], 0) };
    store.put_live("ingest-1", 50, &[(one.clone(), live)]).await.unwrap();
    let read = Counters { broadcast, log_lag_ms: Some(9), ..Counters::default() };
    store.put_live("transcode-1", 50, &[(one.clone(), read)]).await.unwrap();
    let first = [
        (one.clone(), counters(0, &[("480p", 10), ("720p", 20)], 1)),
        (two.clone(), counters(0, &[("720p", 5)], 0)),
    ];
    store.put_counters("delivery-1", 50, &first).await.unwrap();
    store.put_counters("delivery-1", 50, &first).await.unwrap();
    let second = [(one.clone(), counters(0, &[("720p", 30)], 2))];
    store.put_counters("delivery-2", 50, &second).await.unwrap();
    store.put_counters("delivery-2", 51, &second).await.unwrap();

    let sums = store.sums(&[one.clone(), two], 50).await.unwrap();
    let sum = counters(1_000, &[("480p", 10), ("720p", 50)], 3);
    let expected = Counters { broadcast, log_lag_ms: Some(9), ..sum };
    assert_eq!(sums, [expected, counters(0, &[("720p", 5)], 0)]);
    assert_eq!(store.sums(&[one], 52).await.unwrap(), [Counters::default()]);
}

#[tokio::test]
async fn a_stream_is_live_while_somebody_says_so() {
    let server = Server::start();
    let store = store(&server);
    let stream: StreamId = "a.one".parse().unwrap();
    let call = async |second| {
        let live = [(stream.clone(), Counters::default())];
        store.put_live("ingest-1", second, &live).await.unwrap();
    };
    call(50).await;
    assert_eq!(store.live(55).await.unwrap(), std::slice::from_ref(&stream));
    call(51).await;
    assert_eq!(store.live(56).await.unwrap(), [stream]);
    assert_eq!(store.live(57).await.unwrap(), []);
}

#[tokio::test]
async fn a_snapshot_has_the_names_of_the_metrics_message() {
    let server = Server::start();
    let store = store(&server);
    let data = MetricsData {
        stream_id: "a.one".parse().unwrap(),
        concurrent_viewers: 21,
        ingress_bitrate_mbps: 3.25,
        egress_bitrate_mbps: 60.5,
        quality_distribution: BTreeMap::from([("480p".parse().unwrap(), 20)]),
        dropped_frames: 2,
        buffering_events: 1,
    };
    let message = json!({
        "streamId": "a.one", "concurrentViewers": 21, "ingressBitrateMbps": 3.25,
        "egressBitrateMbps": 60.5, "qualityDistribution": {"480p": 20}, "droppedFrames": 2,
        "bufferingEvents": 1,
    });
    assert_eq!(serde_json::to_value(&data).unwrap(), message);
    let stream = data.stream_id.clone();
    assert_eq!(store.get_snapshot(&stream).await.unwrap(), None);
    let turnover = Turnover { since: 7, joined: 30, left: 9, ..Turnover::default() };
    let turnover = Some(turnover);
    let snapshot = Snapshot {
        second: 50,
        broadcast: None,
        data,
        turnover,
        log_lag_ms: Some(3),
        amiss: Amiss { store_away: true, gop_too_long: false },
    };
    store.put_snapshots(std::slice::from_ref(&snapshot)).await.unwrap();
    assert_eq!(store.get_snapshot(&stream).await.unwrap(), Some(snapshot));
}

#[test]
fn a_snapshot_of_the_version_before_is_read() {
    let data = json!({
        "streamId": "a.one", "concurrentViewers": 21, "ingressBitrateMbps": 3.25,
        "egressBitrateMbps": 60.5, "qualityDistribution": {}, "droppedFrames": 2,
        "bufferingEvents": 1,
    });
    let text = json!({"second": 50, "broadcast": null, "data": data}).to_string();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap().turnover, None);
}
