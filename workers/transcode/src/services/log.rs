//! The log, its checkpoint, and the events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_media::id::Msn;
use millrace_media::index::Head;
use millrace_media::timeline::Snapshot;
use millrace_platform::kafka::{
    Checkpoint, Event, EventType, KafkaError, LogReader, ReaderOptions, Start,
};
use millrace_platform::names::topics;
use millrace_platform::report::report;
use serde_json::json;

use super::Services;

impl Services {
    /// Where to go on, and the fold's state there. One that can't be read
    /// counts as none: the log itself is the authority.
    pub async fn checkpoint(&self) -> Result<Option<(i64, Snapshot)>, KafkaError> {
        let Some(found) = self.checkpoints.load().await? else { return Ok(None) };
        let snapshot = STANDARD
            .decode(&found.metadata)
            .map_err(|e| e.to_string())
            .and_then(|bytes| Snapshot::from_bytes(&bytes).map_err(|e| e.to_string()));
        match snapshot {
            Ok(snapshot) => Ok(Some((found.offset, snapshot))),
            Err(error) => {
                tracing::error!(offset = found.offset, error, "the checkpoint can't be read");
                Ok(None)
            }
        }
    }

    /// Moves the checkpoint forward. A failure costs a longer replay, no more.
    pub async fn commit(&self, offset: i64, snapshot: Option<&Snapshot>) {
        let Some(snapshot) = snapshot else { return };
        let checkpoint = Checkpoint { offset, metadata: STANDARD.encode(snapshot.to_bytes()) };
        if let Err(error) = self.checkpoints.commit(checkpoint).await {
            tracing::warn!(offset, error = report(&error), "the checkpoint was not moved");
        }
    }

    /// The log from a place on.
    pub async fn log_from(&self, start: Start) -> Result<LogReader, KafkaError> {
        let topic = topics::frames_topic(&self.config.installation, &self.config.stream);
        LogReader::open(&self.config.kafka, &topic, start, ReaderOptions::default()).await
    }

    /// Announces a segment that is durable in all renditions. An event that
    /// can't be queued is lost; the index says the same.
    pub fn segment_generated(&self, head: &Head, msn: Msn) {
        let segments: serde_json::Map<_, _> = head
            .segments
            .iter()
            .filter_map(|(name, list)| {
                let segment = list.iter().rev().find(|s| s.msn == msn)?;
                Some((name.to_string(), serde_json::to_value(segment).ok()?))
            })
            .collect();
        let broadcast = head.info.broadcast;
        let time_ms = head
            .segments
            .values()
            .filter_map(|list| list.iter().rev().find(|s| s.msn == msn))
            .map(|s| s.date_ms)
            .max()
            .unwrap_or(head.info.started_ms);
        let event = Event {
            kind: EventType::SegmentGenerated,
            stream: self.config.stream.clone(),
            time_ms,
            identity: vec![broadcast.to_string(), msn.to_string()],
            data: json!({ "broadcast": broadcast, "msn": msn, "segments": segments }),
        };
        if let Err(error) = self.events.send(&event) {
            tracing::warn!(%msn, error = report(&error), "SegmentGenerated was not sent");
        }
    }
}
