//! Pieces of many logs, read by one client: [`LogReader`](super::LogReader) is
//! a client of its own for one log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::context::Context;
use super::reader::{LogRecord, PARTITION};
use super::{KafkaError, blocking, client_config};
use crate::config::KafkaConfig;

/// One wait for a record.
const POLL: Duration = Duration::from_millis(100);

/// A piece of a log: offsets `from..to`, which are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The topic.
    pub topic: String,
    /// The first offset.
    pub from: i64,
    /// One past the last.
    pub to: i64,
}

/// Reads pieces of logs, one call at a time. Clones share the connection.
#[derive(Clone)]
pub struct Tails {
    consumer: Arc<Mutex<BaseConsumer<Context>>>,
    brokers: String,
}

impl std::fmt::Debug for Tails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tails({})", self.brokers)
    }
}

impl Tails {
    /// Opens it. Asks no broker.
    pub fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let consumer = client_config(config)
            // Never joined: assign needs a name, and nothing is committed here.
            .set("group.id", "millrace-tails")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.message.max.bytes", "1048576")
            .set("queued.max.messages.kbytes", "4096")
            .create_with_context(Context)
            .map_err(|e| {
                KafkaError::new("open a reader of logs".to_owned(), &config.brokers, e)
            })?;
        Ok(Self { consumer: Arc::new(Mutex::new(consumer)), brokers: config.brokers.clone() })
    }

    /// The records of these pieces of different logs. A piece that did not come
    /// wholly within `patience` is left out.
    ///
    /// # Errors
    /// When Kafka refuses, or nothing came at all.
    pub async fn read(
        &self,
        stretches: Vec<Stretch>,
        patience: Duration,
    ) -> Result<HashMap<String, Vec<LogRecord>>, KafkaError> {
        let what = format!("read the tails of {} logs", stretches.len());
        let this = self.clone();
        blocking(|| what.clone(), {
            let what = what.clone();
            move || this.read_blocking(stretches, patience, &what)
        })
        .await
    }

    fn read_blocking(
        &self,
        mut stretches: Vec<Stretch>,
        patience: Duration,
        what: &str,
    ) -> Result<HashMap<String, Vec<LogRecord>>, KafkaError> {
        stretches.retain(|stretch| stretch.from < stretch.to);
        let mut done = HashMap::new();
        if stretches.is_empty() {
            return Ok(done);
        }
        let consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        let error = |e| KafkaError::new(what.to_owned(), &self.brokers, e);
        let mut list = TopicPartitionList::with_capacity(stretches.len());
        for stretch in &stretches {
            let from = Offset::Offset(stretch.from);
            list.add_partition_offset(&stretch.topic, PARTITION, from).map_err(error)?;
        }
        consumer.assign(&list).map_err(error)?;
        let mut open: HashMap<String, (i64, Vec<LogRecord>)> =
            stretches.into_iter().map(|s| (s.topic, (s.to, Vec::new()))).collect();
        let (until, mut failure) = (Instant::now() + patience, None);
        while !open.is_empty() && Instant::now() < until {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let topic = message.topic();
                    let Some((to, records)) = open.get_mut(topic) else { continue };
                    if message.offset() < *to {
                        records.push(LogRecord {
                            offset: message.offset(),
                            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                            payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
                        });
                    }
                    if message.offset() >= *to - 1 {
                        let records = open.remove(topic).map(|(_, records)| records);
                        done.insert(topic.to_owned(), records.unwrap_or_default());
                        // What comes after is nobody's.
                        let mut read = TopicPartitionList::with_capacity(1);
                        read.add_partition(topic, PARTITION);
                        consumer.pause(&read).map_err(error)?;
                    }
                }
                // One log's trouble must not cost the others theirs.
                Some(Err(source)) => failure = Some(source),
                None => {}
            }
        }
        consumer.unassign().map_err(error)?;
        match failure {
            Some(source) if done.is_empty() => Err(error(source)),
            _ => Ok(done),
        }
    }
}
