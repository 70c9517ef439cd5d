//! A publisher's records, written to a stream's log as an ingest would.

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Epoch, StreamId};
use millrace_media::record::{Body, End, EndReason, Frame, Open, Record, Track, split};
use millrace_platform::config::Installation;
use millrace_platform::kafka::Producer;
use millrace_platform::names::topics::frames_topic;
use uuid::Uuid;

/// One broadcast's.
pub(crate) struct Publisher {
    producer: Producer,
    topic: String,
    stream: StreamId,
    pub(crate) broadcast: BroadcastId,
    pub(crate) epoch: u64,
    sequence: u64,
}

impl Publisher {
    pub(crate) fn new(producer: Producer, installation: &Installation, stream: &StreamId) -> Self {
        Self {
            producer,
            topic: frames_topic(installation, stream),
            stream: stream.clone(),
            broadcast: BroadcastId(Uuid::now_v7()),
            epoch: 1,
            sequence: 0,
        }
    }

    pub(crate) async fn append(&self, body: Body) {
        let record = Record { epoch: Epoch(self.epoch), body };
        for message in split(&record).unwrap() {
            let sent = self.producer.send(&self.topic, self.stream.as_str(), &message).unwrap();
            sent.wait().await.unwrap();
        }
    }

    pub(crate) fn facts(&self) -> Open {
        Open {
            broadcast: self.broadcast,
            nonce: Uuid::from_u128(u128::from(self.epoch)),
            key_id: "abcd1234".parse().unwrap(),
            started_ms: 1_000,
            resumed: self.epoch > 1,
        }
    }

    pub(crate) async fn open(&self) {
        self.append(Body::Open(self.facts())).await;
    }

    pub(crate) async fn frames(&mut self, count: u64) {
        for _ in 0..count {
            self.sequence += 1;
            self.append(Body::Frame(Frame {
                track: Track::Video,
                keyframe: false,
                config: false,
                repeated: false,
                sequence: self.sequence,
                time_ms: 0,
                composition_ms: 0,
                arrival_ms: 0,
                payload: Bytes::from_static(&[0x27, 1, 0, 0, 0]),
            }))
            .await;
        }
    }

    pub(crate) async fn end(&self, reason: EndReason) {
        self.append(Body::End(End { broadcast: self.broadcast, reason })).await;
    }
}
