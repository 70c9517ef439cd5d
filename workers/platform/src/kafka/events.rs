//! What happened, for others: CloudEvents 1.0 in Kafka's binary mode (each
//! attribute a `ce_` header, the data as JSON) on the topic of events.
//!
//! What is told together with a change in Postgres waits in the outbox
//! ([`postgres::outbox`](crate::postgres::outbox)) and is relayed from there.

pub mod data;
mod newest;
mod schema;

use millrace_media::id::StreamId;
use rdkafka::message::{Header, OwnedHeaders};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::producer::{Delivery, Producer, SendError};
use crate::config::Installation;
use crate::names::topics;
use crate::wall::rfc3339;
use data::EventData;

pub use newest::NewestEvents;

/// What kinds of events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// A LiveStream is registered.
    StreamProvisioned,
    /// A broadcast has begun.
    StreamStarted,
    /// The publisher is gone, the broadcast waits.
    StreamInterrupted,
    /// The publisher is back.
    StreamResumed,
    /// A broadcast is over.
    StreamEnded,
    /// A broadcast is over by a fault.
    StreamFailed,
    /// A segment of all rungs is durable.
    SegmentGenerated,
    /// A viewer has changed rungs.
    QualityChanged,
    /// A viewer has come.
    ViewerJoined,
    /// A viewer has gone.
    ViewerLeft,
}

/// In front of every type.
const PREFIX: &str = "dev.millrace.";

impl EventType {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::StreamProvisioned,
        Self::StreamStarted,
        Self::StreamInterrupted,
        Self::StreamResumed,
        Self::StreamEnded,
        Self::StreamFailed,
        Self::SegmentGenerated,
        Self::QualityChanged,
        Self::ViewerJoined,
        Self::ViewerLeft,
    ];

    /// `dev.millrace.` and the name: the `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamProvisioned => "dev.millrace.StreamProvisioned",
            Self::StreamStarted => "dev.millrace.StreamStarted",
            Self::StreamInterrupted => "dev.millrace.StreamInterrupted",
            Self::StreamResumed => "dev.millrace.StreamResumed",
            Self::StreamEnded => "dev.millrace.StreamEnded",
            Self::StreamFailed => "dev.millrace.StreamFailed",
            Self::SegmentGenerated => "dev.millrace.SegmentGenerated",
            Self::QualityChanged => "dev.millrace.QualityChanged",
            Self::ViewerJoined => "dev.millrace.ViewerJoined",
            Self::ViewerLeft => "dev.millrace.ViewerLeft",
        }
    }

    /// The name without what is in front of every type.
    pub fn name(self) -> &'static str {
        self.as_str().strip_prefix(PREFIX).unwrap_or(self.as_str())
    }
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event<D> {
    /// What kind.
    pub kind: EventType,
    /// Whose stream: the `subject` and the message's key.
    pub stream: StreamId,
    /// When it happened, ms since 1970.
    pub time_ms: i64,
    /// What it is about, for example broadcast, epoch and MSN: the same words
    /// give the same id, so that consumers can drop a replayed event.
    pub identity: Vec<String>,
    /// The details.
    pub data: D,
}

impl Event<EventData> {
    /// Of the kind of its data.
    pub fn new(
        stream: StreamId,
        time_ms: i64,
        identity: Vec<String>,
        data: impl Into<EventData>,
    ) -> Self {
        let data = data.into();
        Self { kind: data.kind(), stream, time_ms, identity, data }
    }
}

impl<D> Event<D> {
    /// The `id` attribute: a hash of kind, stream and identity.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for word in [self.kind.as_str(), self.stream.as_str()]
            .into_iter()
            .chain(self.identity.iter().map(String::as_str))
        {
            hash.update(word.as_bytes());
            hash.update([0]);
        }
        hex::encode(hash.finalize().get(..16).unwrap_or_default())
    }
}

/// An event as it is sent, its attributes written out.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The `id` attribute.
    pub id: &'a str,
    /// The `type` attribute.
    pub kind: &'a str,
    /// The process kind it comes from, for the `source` attribute.
    pub source: &'a str,
    /// The `subject` attribute and the message's key.
    pub stream: &'a StreamId,
    /// The `time` attribute, ms since 1970.
    pub time_ms: i64,
    /// The data, JSON.
    pub data: &'a [u8],
}

/// Sends events.
#[derive(Debug, Clone)]
pub struct Events {
    producer: Producer,
    topic: String,
}

impl Events {
    /// To the topic of this installation.
    pub fn new(producer: Producer, installation: &Installation) -> Self {
        Self { producer, topic: topics::events_topic(installation) }
    }

    /// An error after which its producer takes nothing more; a process that
    /// sees one must end.
    pub fn fatal_error(&self) -> Option<String> {
        self.producer.fatal_error()
    }

    /// Queues an event. `source` is the process kind, for example `ingest`.
    pub fn send<D: Serialize>(
        &self,
        source: &str,
        event: &Event<D>,
    ) -> Result<Delivery, SendError> {
        let what = || format!("event {}", event.kind.as_str());
        let data = serde_json::to_vec(&event.data).map_err(|e| {
            SendError::Refused(super::KafkaError::Lost { what: format!("{}: {e}", what()) })
        })?;
        self.send_envelope(Envelope {
            id: &event.id(),
            kind: event.kind.as_str(),
            source,
            stream: &event.stream,
            time_ms: event.time_ms,
            data: &data,
        })
    }

    /// Queues an event that is written out already. Those of one stream arrive
    /// in the order of the calls.
    pub fn send_envelope(&self, event: Envelope<'_>) -> Result<Delivery, SendError> {
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", event.id),
            ("ce_type", event.kind),
            ("ce_source", &format!("/millrace/{}", event.source)),
            ("ce_subject", event.stream.as_str()),
            ("ce_time", &rfc3339(event.time_ms)),
            ("content-type", "application/json"),
        ]
        .into_iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        self.producer.send_with_headers(&self.topic, event.stream.as_str(), event.data, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_happening_has_the_same_id() {
        let event = |identity: &[&str], time_ms| Event {
            kind: EventType::SegmentGenerated,
            stream: "a.b".parse().unwrap(),
            time_ms,
            identity: identity.iter().map(ToString::to_string).collect(),
            data: (),
        };
        assert_eq!(event(&["x", "7"], 1).id(), event(&["x", "7"], 2).id());
        assert_ne!(event(&["x", "7"], 1).id(), event(&["x7"], 1).id());
    }
}
