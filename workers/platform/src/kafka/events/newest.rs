//! The newest events of one stream, read back from the topic of events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_media::id::StreamId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::{Installation, KafkaConfig};
use crate::kafka::context::Context;
use crate::kafka::{KafkaError, blocking, client_config};
use crate::names::topics;

/// Readings at a time: each has a connection of its own.
const READINGS: usize = 4;
/// Records of each partition that are looked at: events of many streams share
/// the topic.
const LOOK_BACK: i64 = 5_000;
/// Longest wait for metadata and the ends.
const ASK: Duration = Duration::from_secs(3);
/// Longest reading.
const READ: Duration = Duration::from_secs(5);
/// One wait for a record.
const POLL: Duration = Duration::from_millis(100);

/// When a record was appended (ms since 1970), and its offset.
type Place = (i64, i64);

/// Reads the newest events. Clones share their places.
#[derive(Clone)]
pub struct NewestEvents {
    config: KafkaConfig,
    topic: String,
    places: Arc<Semaphore>,
}

impl std::fmt::Debug for NewestEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewestEvents").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl NewestEvents {
    /// Of the topic of this installation. Asks no broker.
    pub fn new(config: KafkaConfig, installation: &Installation) -> Self {
        let topic = topics::events_topic(installation);
        Self { config, topic, places: Arc::new(Semaphore::new(READINGS)) }
    }

    /// The newest events of a stream, at most `limit`, newest first: each a
    /// CloudEvent in JSON. Only the last records of all streams are looked at.
    ///
    /// # Errors
    /// `Unavailable` when no broker answers in time; `Lost` when so many read
    /// that no turn comes in time.
    pub async fn of(&self, stream: &StreamId, limit: usize) -> Result<Vec<Value>, KafkaError> {
        let what = format!("read the newest events of {stream}");
        let place = timeout(READ, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(KafkaError::Lost { what });
        };
        let (this, stream) = (self.clone(), stream.clone());
        blocking(|| what.clone(), {
            let what = what.clone();
            move || {
                let _place = place;
                let error = |e| KafkaError::new(what.clone(), &this.config.brokers, e);
                let mut found = this.read(&stream).map_err(error)?;
                found.sort_by(|(a, _), (b, _)| b.cmp(a));
                found.truncate(limit);
                Ok(found.into_iter().map(|(_, event)| event).collect())
            }
        })
        .await
    }

    /// With when and where each was appended.
    fn read(&self, stream: &StreamId) -> Result<Vec<(Place, Value)>, rdkafka::error::KafkaError> {
        let consumer: BaseConsumer<Context> = client_config(&self.config)
            // Never joined: assign needs a name, and nothing is committed here.
            .set("group.id", "millrace-newest-events")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            .set("enable.partition.eof", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "4096")
            .create_with_context(Context)?;
        let metadata = consumer.fetch_metadata(Some(&self.topic), ASK)?;
        let partitions =
            metadata.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
        let mut list = TopicPartitionList::new();
        let mut open = std::collections::HashMap::new();
        for partition in partitions.iter().map(MetadataPartition::id) {
            let (low, high) = consumer.fetch_watermarks(&self.topic, partition, ASK)?;
            let from = low.max(high.saturating_sub(LOOK_BACK));
            if from < high {
                list.add_partition_offset(&self.topic, partition, Offset::Offset(from))?;
                open.insert(partition, high);
            }
        }
        consumer.assign(&list)?;
        let (until, mut found) = (Instant::now() + READ, Vec::new());
        while !open.is_empty() && Instant::now() < until {
            let Some(message) = consumer.poll(POLL) else { continue };
            let message = message?;
            if message.key() == Some(stream.as_str().as_bytes()) {
                found.extend(event(&message));
            }
            if open.get(&message.partition()).is_some_and(|high| message.offset() >= high - 1) {
                open.remove(&message.partition());
            }
        }
        Ok(found)
    }
}

/// The event in JSON (CloudEvents JSON format 1.0); none if it is not one.
fn event(message: &BorrowedMessage<'_>) -> Option<(Place, Value)> {
    let mut event = Map::new();
    for header in message.headers()?.iter() {
        let Some(name) = header.key.strip_prefix("ce_") else { continue };
        let value = std::str::from_utf8(header.value?).ok()?;
        event.insert(name.to_owned(), value.into());
    }
    event.insert("datacontenttype".to_owned(), "application/json".into());
    event.insert("data".to_owned(), serde_json::from_slice(message.payload()?).ok()?);
    let is_event = event.contains_key("type") && event.contains_key("id");
    let place = (message.timestamp().to_millis().unwrap_or(0), message.offset());
    is_event.then_some((place, Value::Object(event)))
}
