//! Making, changing and deleting topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::StreamId;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::types::RDKafkaErrorCode;

use super::context::Context;
use super::{KafkaError, client_config};
use crate::config::{Installation, KafkaConfig};
use crate::names::topics;

/// Longest wait for the brokers.
const ASK: Duration = Duration::from_secs(5);

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Partitions it is made with; not changed later.
    pub partitions: i32,
    /// Copies of each partition; not changed later. -1 is the broker's default.
    pub replication: i32,
    /// Settings that differ from the broker's.
    pub config: BTreeMap<String, String>,
}

impl TopicSpec {
    /// The log of one stream: one partition, kept for the replay window.
    pub fn frames(
        installation: &Installation,
        stream: &StreamId,
        replay_window: Duration,
        replication: i32,
    ) -> Self {
        let config = [
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", replay_window.as_millis().to_string()),
            ("segment.ms", "60000".to_owned()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("max.message.bytes", "1048576".to_owned()),
        ];
        Self {
            name: topics::frames_topic(installation, stream),
            partitions: 1,
            replication,
            config: config.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        }
    }

    /// The events of all streams.
    pub fn events(installation: &Installation, partitions: i32, replication: i32) -> Self {
        Self {
            name: topics::events_topic(installation),
            partitions,
            replication,
            config: BTreeMap::new(),
        }
    }
}

/// What [`Admin::ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// Made it.
    Created,
    /// Changed its settings.
    Altered,
    /// Nothing: it was right.
    Unchanged,
}

/// An administrator's connection. Clones share it.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<Context>>,
    brokers: String,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Admin({})", self.brokers)
    }
}

impl Admin {
    /// Opens it. Asks no broker.
    pub fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let client = client_config(config).create_with_context(Context).map_err(|e| {
            KafkaError::new("open an administrator's client".to_owned(), &config.brokers, e)
        })?;
        Ok(Self { client: Arc::new(client), brokers: config.brokers.clone() })
    }

    fn options() -> AdminOptions {
        AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
    }

    fn error(&self, what: &str, source: rdkafka::error::KafkaError) -> KafkaError {
        KafkaError::new(what.to_owned(), &self.brokers, source)
    }

    fn code(&self, what: &str, code: RDKafkaErrorCode) -> KafkaError {
        self.error(what, rdkafka::error::KafkaError::AdminOp(code))
    }

    /// Makes the topic, or brings the settings named in `spec` up to date. May
    /// be repeated; writes nothing when nothing differs.
    pub async fn ensure(&self, spec: &TopicSpec) -> Result<Ensured, KafkaError> {
        if self.create(spec).await? {
            self.wait_for(&spec.name).await?;
            return Ok(Ensured::Created);
        }
        let there = self.describe(&spec.name).await?.unwrap_or_default();
        if spec.config.iter().all(|(key, value)| there.get(key) == Some(value)) {
            return Ok(Ensured::Unchanged);
        }
        self.alter(spec).await?;
        Ok(Ensured::Altered)
    }

    /// Brokers learn of a new topic a moment after it was made.
    async fn wait_for(&self, topic: &str) -> Result<(), KafkaError> {
        let deadline = tokio::time::Instant::now() + ASK;
        while self.describe(topic).await?.is_none() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether it was made; false when there was one.
    async fn create(&self, spec: &TopicSpec) -> Result<bool, KafkaError> {
        let what = format!("create topic {}", spec.name);
        let replication = TopicReplication::Fixed(spec.replication);
        let mut topic = NewTopic::new(&spec.name, spec.partitions, replication);
        for (key, value) in &spec.config {
            topic = topic.set(key, value);
        }
        let results = self
            .client
            .create_topics(&[topic], &Self::options())
            .await
            .map_err(|e| self.error(&what, e))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(self.code(&what, code)),
            None => Err(KafkaError::Lost { what }),
        }
    }

    /// Replaces the topic's own settings by those of `spec`.
    async fn alter(&self, spec: &TopicSpec) -> Result<(), KafkaError> {
        let what = format!("change topic {}", spec.name);
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(&spec.name));
        for (key, value) in &spec.config {
            change = change.set(key, value);
        }
        let results = self
            .client
            .alter_configs([&change], &Self::options())
            .await
            .map_err(|e| self.error(&what, e))?;
        match results.into_iter().next() {
            Some(Err((_, code))) => Err(self.code(&what, code)),
            _ => Ok(()),
        }
    }

    /// The topic's settings, the broker's defaults with them; none when there
    /// is no such topic.
    pub async fn describe(
        &self,
        topic: &str,
    ) -> Result<Option<BTreeMap<String, String>>, KafkaError> {
        let what = format!("describe topic {topic}");
        let asked = [ResourceSpecifier::Topic(topic)];
        let results = self
            .client
            .describe_configs(&asked, &Self::options())
            .await
            .map_err(|e| self.error(&what, e))?;
        match results.into_iter().next() {
            // That is how the client tells of a topic that does not exist.
            Some(Ok(found)) if found.entries.is_empty() => Ok(None),
            Some(Ok(found)) => Ok(Some(
                found.entries.into_iter().filter_map(|e| Some((e.name, e.value?))).collect(),
            )),
            Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(None),
            Some(Err(code)) => Err(self.code(&what, code)),
            None => Err(KafkaError::Lost { what }),
        }
    }

    /// Deletes a topic; none is fine.
    pub async fn delete(&self, topic: &str) -> Result<(), KafkaError> {
        let what = format!("delete topic {topic}");
        let results = self
            .client
            .delete_topics(&[topic], &Self::options())
            .await
            .map_err(|e| self.error(&what, e))?;
        match results.into_iter().next() {
            Some(Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => Ok(()),
            Some(Err((_, code))) => Err(self.code(&what, code)),
            None => Err(KafkaError::Lost { what }),
        }
    }
}
