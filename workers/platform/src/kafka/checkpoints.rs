//! How far a reader has come: a committed offset with metadata.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::reader::PARTITION;
use super::{KafkaError, blocking, client_config};
use crate::config::KafkaConfig;

/// Longest wait for the group's coordinator.
const ASK: Duration = Duration::from_secs(5);

/// A place in the log and what to know there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The offset to read from.
    pub offset: i64,
    /// At most 4,096 bytes, the broker's limit.
    pub metadata: String,
}

/// How a commit went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It stands.
    Stored,
    /// One further on in this log stands already; it was left alone.
    Behind(Checkpoint),
}

/// The checkpoint of one group on partition 0 of one topic.
#[derive(Clone)]
pub struct Checkpoints {
    consumer: Arc<BaseConsumer<Context>>,
    topic: String,
    brokers: String,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checkpoints({} at {})", self.topic, self.brokers)
    }
}

impl Checkpoints {
    /// Opens it. Asks no broker.
    pub fn open(config: &KafkaConfig, group: &str, topic: &str) -> Result<Self, KafkaError> {
        let consumer = client_config(config)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false")
            .create_with_context(Context)
            .map_err(|e| {
                KafkaError::new(format!("open the checkpoint {group}"), &config.brokers, e)
            })?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topic: topic.to_owned(),
            brokers: config.brokers.clone(),
        })
    }

    /// The checkpoint, if there is one.
    pub async fn load(&self) -> Result<Option<Checkpoint>, KafkaError> {
        let this = self.clone();
        blocking(|| self.what("read"), move || this.load_blocking()).await
    }

    /// Moves the checkpoint forward. An earlier or equal offset changes
    /// nothing.
    ///
    /// Kafka has no compare-and-set: two writers at the same instant could
    /// still move it back once. The fold's result does not depend on that, it
    /// only reads a little more.
    pub async fn commit(&self, checkpoint: Checkpoint) -> Result<Committed, KafkaError> {
        let this = self.clone();
        blocking(|| self.what("commit"), move || this.commit_blocking(checkpoint)).await
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} the checkpoint on {}", self.topic)
    }

    fn error(&self, verb: &str, source: rdkafka::error::KafkaError) -> KafkaError {
        KafkaError::new(self.what(verb), &self.brokers, source)
    }

    fn load_blocking(&self) -> Result<Option<Checkpoint>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, PARTITION);
        let list = self.consumer.committed_offsets(list, ASK).map_err(|e| self.error("read", e))?;
        let Some(found) = list.find_partition(&self.topic, PARTITION) else { return Ok(None) };
        found.error().map_err(|e| self.error("read", e))?;
        Ok(match found.offset() {
            Offset::Offset(offset) => {
                Some(Checkpoint { offset, metadata: found.metadata().to_owned() })
            }
            _ => None,
        })
    }

    fn commit_blocking(&self, checkpoint: Checkpoint) -> Result<Committed, KafkaError> {
        if let Some(there) = self.load_blocking()?.filter(|c| c.offset >= checkpoint.offset) {
            let (_, end) = self
                .consumer
                .fetch_watermarks(&self.topic, PARTITION, ASK)
                .map_err(|e| self.error("commit", e))?;
            // One beyond the end is of a log that is gone.
            if there.offset <= end {
                return Ok(Committed::Behind(there));
            }
        }
        let mut list = TopicPartitionList::new();
        let mut place = list.add_partition(&self.topic, PARTITION);
        place.set_offset(Offset::Offset(checkpoint.offset)).map_err(|e| self.error("commit", e))?;
        place.set_metadata(checkpoint.metadata);
        self.consumer.commit(&list, CommitMode::Sync).map_err(|e| self.error("commit", e))?;
        Ok(Committed::Stored)
    }
}
