//! Where many logs begin and end, a thousand in one request to each broker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as Source;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::reader::PARTITION;
use super::{KafkaError, blocking, client_config};
use crate::config::KafkaConfig;

/// Topics in one request: the client looks for each among all others.
const BATCH: usize = 1_000;
/// Longest wait for the brokers.
const ASK: Duration = Duration::from_secs(4);

/// By topic.
pub type Offsets = HashMap<String, Option<i64>>;

/// Asks for ends. Clones share the connection.
#[derive(Clone)]
pub struct Ends {
    consumer: Arc<BaseConsumer<Context>>,
    brokers: String,
}

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ends({})", self.brokers)
    }
}

impl Ends {
    /// Opens it. Asks no broker.
    pub fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let consumer = client_config(config)
            // Never joined, and nothing is committed here.
            .set("group.id", "millrace-ends")
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false")
            .create_with_context(Context)
            .map_err(|e| KafkaError::new("open a look at logs".to_owned(), &config.brokers, e))?;
        Ok(Self { consumer: Arc::new(consumer), brokers: config.brokers.clone() })
    }

    /// One past the last offset of each of these topics that exists; none where
    /// no broker says it now.
    pub async fn last(&self, topics: Vec<String>) -> Result<Offsets, KafkaError> {
        self.ask(topics, Offset::End).await
    }

    /// The first offset of each of these topics that exists; none where no
    /// broker says it now.
    pub async fn first(&self, topics: Vec<String>) -> Result<Offsets, KafkaError> {
        self.ask(topics, Offset::Beginning).await
    }

    async fn ask(&self, topics: Vec<String>, which: Offset) -> Result<Offsets, KafkaError> {
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        let what = format!("ask for the ends of {} logs", topics.len());
        let this = self.clone();
        blocking(|| what.clone(), {
            let what = what.clone();
            move || {
                let mut found = HashMap::with_capacity(topics.len());
                for some in topics.chunks(BATCH) {
                    found.extend(this.ask_blocking(some.to_vec(), which, &what)?);
                }
                Ok(found)
            }
        })
        .await
    }

    fn ask_blocking(
        &self,
        mut topics: Vec<String>,
        which: Offset,
        what: &str,
    ) -> Result<Offsets, KafkaError> {
        match self.offsets(&topics, which) {
            // One topic that was deleted spoils the answer about all, until
            // the client looks again which there are.
            Err(source) if is_unknown(&source) => {
                let there = self.existing().map_err(|e| self.error(what, e))?;
                topics.retain(|topic| there.contains(topic));
                if topics.is_empty() {
                    return Ok(HashMap::new());
                }
                self.offsets(&topics, which).map_err(|e| self.error(what, e))
            }
            done => done.map_err(|e| self.error(what, e)),
        }
    }

    fn offsets(&self, topics: &[String], which: Offset) -> Result<Offsets, Source> {
        let mut list = TopicPartitionList::with_capacity(topics.len());
        for topic in topics {
            // In place of a time to look for, the client takes these two.
            list.add_partition_offset(topic, PARTITION, which)?;
        }
        let found = self.consumer.offsets_for_times(list, ASK)?;
        let said = found.elements().into_iter().map(|found| {
            let offset = match (found.offset(), found.error()) {
                (_, Err(source)) if is_unknown(&source) => return Err(source),
                (Offset::Offset(offset), Ok(())) => Some(offset),
                // Its broker is away. That is not the same as no topic.
                _ => None,
            };
            Ok((found.topic().to_owned(), offset))
        });
        said.collect()
    }

    fn existing(&self) -> Result<std::collections::HashSet<String>, Source> {
        let all = self.consumer.fetch_metadata(None, ASK)?;
        let is_missing = |error| Code::from(error) == Code::UnknownTopicOrPartition;
        let there = all.topics().iter().filter(|topic| !topic.error().is_some_and(is_missing));
        Ok(there.map(|topic| topic.name().to_owned()).collect())
    }

    fn error(&self, what: &str, source: Source) -> KafkaError {
        KafkaError::new(what.to_owned(), &self.brokers, source)
    }
}

fn is_unknown(error: &Source) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopic)
    )
}
