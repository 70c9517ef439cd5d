//! What clients are sent: JSON, `{"type":…,"data":{…}}`. docs/websocket.md
//! describes each. Fields are only ever added.

use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use millrace_platform::redis::metrics::MetricsData;
use serde::Serialize;

use crate::http::streams::StreamState;
use crate::live::snapshot::Snapshot;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Message {
    /// What the stream is doing.
    StreamStatus(Status),
    /// Viewers came.
    ViewerJoined(Passage),
    /// Viewers went.
    ViewerLeft(Passage),
    /// Viewers changed rungs.
    QualityChanged(Change),
    /// A second's figures.
    Metrics(MetricsData),
}

/// What a stream is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The stream.
    pub stream_id: StreamId,
    /// `live` or `ended`.
    pub state: StreamState,
    /// The current or last broadcast.
    pub broadcast: BroadcastId,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// Its renditions.
    pub renditions: Vec<RenditionName>,
}

impl Status {
    /// As a replica shows the stream.
    pub fn of(stream: &StreamId, snapshot: &Snapshot) -> Self {
        let view = &snapshot.current;
        Self {
            stream_id: stream.clone(),
            state: if view.has_ended() { StreamState::Ended } else { StreamState::Live },
            broadcast: view.broadcast(),
            started_ms: view.info.started_ms,
            renditions: view.info.renditions.iter().map(|r| r.name.clone()).collect(),
        }
    }
}

/// How many viewers came, or went. Not who: everybody may listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Passage {
    /// The stream.
    pub stream_id: StreamId,
    /// How many since the last message.
    pub count: u64,
    /// Who watches now.
    pub concurrent_viewers: u32,
}

/// How many viewers went from one rung to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The stream.
    pub stream_id: StreamId,
    /// The rung until now.
    pub from: RenditionName,
    /// The rung from now on.
    pub to: RenditionName,
    /// How many since the last message.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(message: Message) -> Value {
        serde_json::to_value(message).unwrap()
    }

    #[test]
    fn messages_have_the_names_of_the_documentation() {
        let stream_id: StreamId = "events.keynote".parse().unwrap();
        let broadcast = BroadcastId(uuid::Uuid::nil());
        let rung = |name: &str| -> RenditionName { name.parse().unwrap() };
        let metrics = MetricsData {
            stream_id: stream_id.clone(),
            concurrent_viewers: 21,
            ingress_bitrate_mbps: 3.0,
            egress_bitrate_mbps: 60.5,
            quality_distribution: [(rung("480p"), 20)].into(),
            dropped_frames: 2,
            buffering_events: 1,
        };
        assert_eq!(
            written(Message::Metrics(metrics)),
            json!({"type": "metrics", "data": {"streamId": "events.keynote",
                "concurrentViewers": 21, "ingressBitrateMbps": 3.0, "egressBitrateMbps": 60.5,
                "qualityDistribution": {"480p": 20}, "droppedFrames": 2, "bufferingEvents": 1}})
        );
        let status = Status {
            stream_id: stream_id.clone(),
            state: StreamState::Live,
            broadcast,
            started_ms: 7,
            renditions: vec![rung("480p"), rung("audio")],
        };
        assert_eq!(
            written(Message::StreamStatus(status)),
            json!({"type": "stream_status", "data": {"streamId": "events.keynote",
                "state": "live", "broadcast": broadcast, "startedMs": 7,
                "renditions": ["480p", "audio"]}})
        );
        let passage = Passage { stream_id: stream_id.clone(), count: 2, concurrent_viewers: 21 };
        let data = json!({"streamId": "events.keynote", "count": 2, "concurrentViewers": 21});
        assert_eq!(
            written(Message::ViewerJoined(passage.clone())),
            json!({"type": "viewer_joined", "data": data})
        );
        assert_eq!(
            written(Message::ViewerLeft(passage)),
            json!({"type": "viewer_left", "data": data})
        );
        let change = Change { stream_id, from: rung("720p"), to: rung("480p"), count: 3 };
        assert_eq!(
            written(Message::QualityChanged(change)),
            json!({"type": "quality_changed", "data": {"streamId": "events.keynote",
                "from": "720p", "to": "480p", "count": 3}})
        );
    }
}
