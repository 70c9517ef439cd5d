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
            .map_err(|e| KafkaError::new("open a reader of logs".to_owned(), &config.brokers, e))?;
        Ok(Self { consumer: Arc::new(Mutex::new(consumer)), brokers: config.brokers.clone() })
    }

    /// Folds the records of these pieces of different logs into `state`, each
    /// with its topic, so that no more than one is in memory. Says with the
    /// state which pieces came wholly within `patience`.
    ///
    /// # Errors
    /// When Kafka refuses, or nothing came at all.
    pub async fn fold<S: Send + 'static>(
        &self,
        stretches: Vec<Stretch>,
        patience: Duration,
        state: S,
        each: fn(&mut S, &str, &LogRecord),
    ) -> Result<(S, Vec<String>), KafkaError> {
        let what = format!("read the tails of {} logs", stretches.len());
        let this = self.clone();
        blocking(|| what.clone(), {
            let what = what.clone();
            move || this.fold_blocking(stretches, patience, (state, each), &what)
        })
        .await
    }

    fn fold_blocking<S>(
        &self,
        mut stretches: Vec<Stretch>,
        patience: Duration,
        (mut state, each): (S, fn(&mut S, &str, &LogRecord)),
        what: &str,
    ) -> Result<(S, Vec<String>), KafkaError> {
        stretches.retain(|stretch| stretch.from < stretch.to);
        let mut done = Vec::new();
        if stretches.is_empty() {
            return Ok((state, done));
        }
        let consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        let error = |e| KafkaError::new(what.to_owned(), &self.brokers, e);
        let mut list = TopicPartitionList::with_capacity(stretches.len());
        for stretch in &stretches {
            let from = Offset::Offset(stretch.from);
            list.add_partition_offset(&stretch.topic, PARTITION, from).map_err(error)?;
        }
        // A log that was read before is still paused.
        consumer.assign(&list).and_then(|()| consumer.resume(&list)).map_err(error)?;
        let mut open: HashMap<String, i64> =
            stretches.into_iter().map(|s| (s.topic, s.to)).collect();
        let (until, mut failure) = (Instant::now() + patience, None);
        while !open.is_empty() && Instant::now() < until {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let topic = message.topic();
                    let Some(to) = open.get(topic).copied() else { continue };
                    if message.offset() < to {
                        let record = LogRecord {
                            offset: message.offset(),
                            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
                            payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
                        };
                        each(&mut state, topic, &record);
                    }
                    if message.offset() >= to - 1 {
                        open.remove(topic);
                        done.push(topic.to_owned());
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
            _ => Ok((state, done)),
        }
    }
}
