//! Reading one partition from an offset on, by `assign`: no group, no
//! rebalance.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError as Source;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::context::Context;
use super::{KafkaError, blocking, client_config};
use crate::config::KafkaConfig;

/// The one partition of every topic read here.
pub(super) const PARTITION: i32 = 0;
/// Longest wait for metadata and watermarks.
const ASK: Duration = Duration::from_secs(5);

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first record there.
    Beginning,
    /// This offset; it must be in the log, or one past its end.
    Offset(i64),
    /// What comes after now.
    End,
}

/// How to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderOptions {
    /// How long a broker holds a fetch with nothing to say. A record that comes
    /// ends the wait at once: 500 ms cost no latency (measured) and a fifth of
    /// the broker's CPU time that 10 ms did.
    pub fetch_wait: Duration,
    /// Kilobytes read ahead.
    pub queue_kilobytes: u32,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { fetch_wait: Duration::from_millis(500), queue_kilobytes: 16 * 1024 }
    }
}

/// What the log holds: offsets `low..high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset.
    pub low: i64,
    /// One past the last offset.
    pub high: i64,
}

/// One message of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its offset.
    pub offset: i64,
    /// When the broker appended it, ms since 1970.
    pub timestamp_ms: i64,
    /// What it says.
    pub payload: Bytes,
}

/// A reader of one topic.
pub struct LogReader {
    consumer: Arc<StreamConsumer<Context>>,
    topic: String,
    brokers: String,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogReader({} at {})", self.topic, self.brokers)
    }
}

impl LogReader {
    /// Opens a topic at a place.
    ///
    /// # Errors
    /// `TopicMissing` when there is no such topic, `OutOfRange` when the offset
    /// is not in the log.
    pub async fn open(
        config: &KafkaConfig,
        topic: &str,
        start: Start,
        options: ReaderOptions,
    ) -> Result<Self, KafkaError> {
        let what = || format!("open the log {topic}");
        let consumer: StreamConsumer<Context> = client_config(config)
            // Never joined: assign needs a name, and nothing is committed here.
            .set("group.id", "millrace-reader")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            // An offset that is gone is an error here, not a place elsewhere.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", options.fetch_wait.as_millis().to_string())
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", options.queue_kilobytes.to_string())
            .set("fetch.message.max.bytes", "4194304")
            .create_with_context(Context)
            .map_err(|e| KafkaError::new(what(), &config.brokers, e))?;
        let reader = Self {
            consumer: Arc::new(consumer),
            topic: topic.to_owned(),
            brokers: config.brokers.clone(),
        };
        let Watermarks { low, high } = reader.watermarks().await?;
        let offset = match start {
            Start::Beginning => low,
            Start::End => high,
            Start::Offset(offset) if (low..=high).contains(&offset) => offset,
            Start::Offset(offset) => {
                return Err(KafkaError::OutOfRange { topic: reader.topic, offset, low, high });
            }
        };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, PARTITION, Offset::Offset(offset))
            .and_then(|()| reader.consumer.assign(&list))
            .map_err(|e| KafkaError::new(what(), &config.brokers, e))?;
        Ok(reader)
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What the log holds now.
    pub async fn watermarks(&self) -> Result<Watermarks, KafkaError> {
        let what = format!("ask for the ends of {}", self.topic);
        let (consumer, topic) = (Arc::clone(&self.consumer), self.topic.clone());
        let brokers = self.brokers.clone();
        blocking(|| what.clone(), {
            let what = what.clone();
            move || watermarks(consumer.client(), &topic, &brokers, &what)
        })
        .await
    }

    /// The next record; waits as long as it takes. Cancel-safe.
    ///
    /// # Errors
    /// `OutOfRange` when the place was deleted by retention meanwhile,
    /// `TopicMissing` when the topic was. Brokers that are away are no error:
    /// the client comes back by itself.
    pub async fn next(&self) -> Result<LogRecord, KafkaError> {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    return Ok(LogRecord {
                        offset: message.offset(),
                        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
                    });
                }
                Err(error) => match error.rdkafka_error_code() {
                    Some(code) if super::is_transient(code) => {
                        tracing::debug!(topic = self.topic, %error, "waiting for Kafka");
                    }
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                        return Err(self.missing());
                    }
                    Some(
                        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                    ) => {
                        let Watermarks { low, high } = self.watermarks().await?;
                        let (topic, offset) = (self.topic.clone(), self.position());
                        return Err(KafkaError::OutOfRange { topic, offset, low, high });
                    }
                    _ => {
                        let what = format!("read the log {}", self.topic);
                        return Err(KafkaError::new(what, &self.brokers, error));
                    }
                },
            }
        }
    }

    /// All records as an endless stream.
    pub fn stream(&self) -> impl Stream<Item = Result<LogRecord, KafkaError>> + '_ {
        futures::stream::unfold(self, |reader| async move { Some((reader.next().await, reader)) })
    }

    /// One past the last record handed out; -1 before the first.
    fn position(&self) -> i64 {
        let position = self.consumer.position().ok();
        let offset = position
            .and_then(|list| list.find_partition(&self.topic, PARTITION).map(|p| p.offset()));
        match offset {
            Some(Offset::Offset(offset)) => offset,
            _ => -1,
        }
    }

    fn missing(&self) -> KafkaError {
        KafkaError::TopicMissing { topic: self.topic.clone(), brokers: self.brokers.clone() }
    }

    /// The records `from..to`, for looking at the tail of a log. `from` is moved
    /// up to what the log still holds, `to` down to its end.
    ///
    /// # Errors
    /// `TopicMissing` when there is no such topic; `Unavailable` when the
    /// records don't come within `timeout`.
    pub async fn read_range(
        config: &KafkaConfig,
        topic: &str,
        from: i64,
        to: i64,
        timeout: Duration,
    ) -> Result<Vec<LogRecord>, KafkaError> {
        let work = async {
            let options = ReaderOptions::default();
            let reader = Self::open(config, topic, Start::End, options).await?;
            let Watermarks { low, high } = reader.watermarks().await?;
            let (from, to) = (from.max(low), to.min(high));
            let mut records = Vec::new();
            if from >= to {
                return Ok(records);
            }
            let reader = Self::open(config, topic, Start::Offset(from), options).await?;
            loop {
                let record = reader.next().await?;
                let last = record.offset >= to - 1;
                if record.offset < to {
                    records.push(record);
                }
                if last {
                    return Ok(records);
                }
            }
        };
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
            Err(KafkaError::Unavailable {
                what: format!("read {from} to {to} of {topic}"),
                brokers: config.brokers.clone(),
                source: Box::new(Source::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            })
        })
    }
}

/// Blocking: asks whether the topic exists and what it holds.
pub(super) fn watermarks<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    brokers: &str,
    what: &str,
) -> Result<Watermarks, KafkaError> {
    let error = |e| KafkaError::new(what.to_owned(), brokers, e);
    let missing =
        || KafkaError::TopicMissing { topic: topic.to_owned(), brokers: brokers.to_owned() };
    let metadata = client.fetch_metadata(Some(topic), ASK).map_err(error)?;
    let found = metadata.topics().iter().find(|t| t.name() == topic).ok_or_else(missing)?;
    match found.error().map(RDKafkaErrorCode::from) {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Err(missing()),
        Some(code) => return Err(error(Source::MetadataFetch(code))),
        None if found.partitions().is_empty() => return Err(missing()),
        None => {}
    }
    let (low, high) = client.fetch_watermarks(topic, PARTITION, ASK).map_err(error)?;
    Ok(Watermarks { low, high })
}
