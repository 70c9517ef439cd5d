//! What happened, for others: CloudEvents 1.0 in Kafka's binary mode (each
//! attribute a `ce_` header, the data as JSON) on the topic of events.
//!
//! What is told together with a change in Postgres waits in the outbox
//! ([`postgres::outbox`](crate::postgres::outbox)) and is relayed from there.

pub mod data;
mod schema;

use millrace_media::id::StreamId;
use rdkafka::message::{Header, OwnedHeaders};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::producer::{Delivery, Producer, SendError};
use crate::config::Installation;
use crate::names::topics;
use data::EventData;

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

/// Milliseconds since 1970 as `2026-01-31T12:34:56.789Z`.
fn rfc3339(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Years counted from March, so that the leap day comes last.
    let from_march = days + 719_468;
    let (era, day) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (seconds, millis) = (in_day / 1_000 % 60, in_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_798_761_600_001, "2027-01-01T00:00:00.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
    }

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
