//! The log, its checkpoint, and the events.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_media::id::Msn;
use millrace_media::index::Head;
use millrace_media::timeline::{RestartPoint, Snapshot};
use millrace_platform::kafka::events::data::{self, EventData, Segment, SegmentGenerated};
use millrace_platform::kafka::{
    Checkpoint, Event, KafkaError, LogReader, ReaderOptions, Start, Watermarks,
};
use millrace_platform::names::topics;
use millrace_platform::report::report;

use super::Services;

impl Services {
    /// Where to go on, and the fold's state there. One that can't be read
    /// counts as none: the log itself is the authority.
    pub async fn checkpoint(&self) -> Result<Option<(i64, Snapshot)>, KafkaError> {
        let Some(found) = self.checkpoints.load().await? else {
            self.runs.checkpointed(None);
            return Ok(None);
        };
        self.metrics.committed(found.offset);
        let snapshot = STANDARD
            .decode(&found.metadata)
            .map_err(|e| e.to_string())
            .and_then(|bytes| Snapshot::from_bytes(&bytes).map_err(|e| e.to_string()));
        match snapshot {
            Ok(snapshot) => {
                self.runs.checkpointed(snapshot.broadcast());
                Ok(Some((found.offset, snapshot)))
            }
            Err(error) => {
                tracing::error!(offset = found.offset, error, "the checkpoint can't be read");
                self.runs.checkpointed(None);
                Ok(None)
            }
        }
    }

    /// Moves the checkpoint forward; false if it is where it was, which costs a
    /// longer replay, no more.
    pub async fn commit(&self, offset: i64, snapshot: &Snapshot) -> bool {
        let checkpoint = Checkpoint { offset, metadata: STANDARD.encode(snapshot.to_bytes()) };
        match self.checkpoints.commit(checkpoint).await {
            Ok(_) => {
                self.metrics.committed(offset);
                true
            }
            Err(error) => {
                tracing::warn!(offset, error = report(&error), "the checkpoint was not moved");
                false
            }
        }
    }

    /// What the log holds now.
    pub async fn log_holds(&self) -> Result<Watermarks, KafkaError> {
        let topic = topics::frames_topic(&self.config.installation, &self.config.stream);
        self.producer.watermarks(&topic).await
    }

    /// The log from a place on.
    pub async fn log_from(&self, start: Start) -> Result<LogReader, KafkaError> {
        let topic = topics::frames_topic(&self.config.installation, &self.config.stream);
        LogReader::open(&self.config.kafka, &topic, start, ReaderOptions::default()).await
    }

    /// Announces a segment that is durable in all renditions. An event that
    /// can't be queued is lost; the index says the same.
    pub fn segment_generated(&self, head: &Head, msn: Msn, restart: Option<&RestartPoint>) {
        let event = segment_event(head, msn, restart);
        if let Err(error) = self.events.send("transcode", &event) {
            tracing::warn!(%msn, error = report(&error), "SegmentGenerated was not sent");
        }
    }
}

fn segment_event(head: &Head, msn: Msn, restart: Option<&RestartPoint>) -> Event<EventData> {
    let segments = head.segments.iter().filter_map(|(name, list)| {
        let segment = list.iter().rev().find(|s| s.msn == msn)?;
        Some((name.clone(), Segment::from(segment)))
    });
    let segments: BTreeMap<_, _> = segments.collect();
    let broadcast = head.info.broadcast;
    let time_ms = segments.values().map(|s| s.date_ms).max().unwrap_or(head.info.started_ms);
    let restart = restart.map(|point| data::RestartPoint {
        offset: point.offset,
        snapshot: STANDARD.encode(point.snapshot.to_bytes()),
    });
    let identity = vec![broadcast.to_string(), msn.to_string()];
    let data = SegmentGenerated { broadcast, msn, segments, restart };
    Event::new(head.info.stream.clone(), time_ms, identity, data)
}

#[cfg(test)]
mod tests {
    use millrace_harness::events::check;
    use millrace_media::id::{BroadcastId, Run};
    use millrace_media::published::{
        Access, BroadcastInfo, FrameRate, InitHash, RenditionInfo, RenditionKind, SegmentInfo,
    };
    use millrace_media::time::Ticks;
    use millrace_media::timeline::Timeline;
    use uuid::Uuid;

    use super::*;

    fn head() -> Head {
        let rendition = |name: &str, kind| RenditionInfo {
            name: name.parse().unwrap(),
            kind,
            codecs: "avc1.64001f".to_owned(),
            timescale: 90_000,
            bandwidth: 1,
            average_bandwidth: 1,
        };
        let info = BroadcastInfo {
            stream: "events.keynote".parse().unwrap(),
            broadcast: BroadcastId(Uuid::from_u128(7)),
            started_ms: 1_764_000_000_000,
            segment_duration: Ticks(180_000),
            part_target: Ticks(19_350),
            dvr_window: Ticks(10_800_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: vec![
                rendition("720p", RenditionKind::Video { width: 1280, height: 720 }),
                rendition("audio", RenditionKind::Audio { sample_rate: 48_000, channels: 2 }),
            ],
            ended: false,
            access: Access::default(),
        };
        let mut head = Head::new(info, Run(1));
        for msn in [4, 5] {
            for name in ["720p", "audio"] {
                let segment = SegmentInfo {
                    msn: Msn(msn),
                    run: Run(1),
                    start: 0,
                    duration: 180_000,
                    bytes: 9,
                    discontinuities: 0,
                    date_ms: 1_764_000_000_000 + i64::try_from(msn).unwrap() * 2_000,
                    init: InitHash::of(b"init"),
                    gap: name == "audio",
                    base: None,
                };
                head.push(&name.parse().unwrap(), segment);
            }
        }
        head
    }

    #[test]
    fn a_segment_is_told_as_docs_say_and_has_one_id() {
        let snapshot = Timeline::new(Ticks(180_000)).snapshot().unwrap();
        let point = RestartPoint { offset: 77, snapshot };
        let event = segment_event(&head(), Msn(5), Some(&point));
        assert_eq!(event.time_ms, 1_764_000_010_000);
        let data = serde_json::to_value(&event.data).unwrap();
        check(event.kind.as_str(), &data).unwrap();
        assert_eq!((&data["msn"], &data["restart"]["offset"]), (&5.into(), &77.into()));
        assert_eq!(data["segments"]["audio"]["gap"], true);
        let replayed = segment_event(&head(), Msn(5), None);
        assert_eq!(event.id(), replayed.id());
        assert_ne!(event.id(), segment_event(&head(), Msn(4), None).id());
    }
}
