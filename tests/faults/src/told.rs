//! The events that a broadcast left on the topic of events, read from outside.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use millrace_platform::config::KafkaConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

/// How long a broker may need to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the last event of a broadcast may need: it waits for whatever was away.
const LAST: Duration = Duration::from_secs(30);
/// Of every segment, and of the lives of viewers and streams, nothing is learnt.
const USUAL: [&str; 5] =
    ["SegmentGenerated", "ViewerJoined", "ViewerLeft", "QualityChanged", "StreamProvisioned"];

/// A place on the topic of events.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    brokers: String,
    topic: String,
    /// Partition and first offset that counts.
    from: Vec<(i32, i64)>,
}

impl Told {
    /// From now on.
    ///
    /// # Errors
    /// When Kafka is away.
    pub(crate) async fn open(kafka: &KafkaConfig, topic: &str) -> Result<Self> {
        let (brokers, topic) = (kafka.brokers.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let consumer = consumer(&brokers)?;
            let metadata = consumer.fetch_metadata(Some(&topic), ANSWER)?;
            let found = metadata.topics().first().context("no topic of events")?;
            let mut from = Vec::new();
            for partition in found.partitions() {
                let (_, high) = consumer.fetch_watermarks(&topic, partition.id(), ANSWER)?;
                from.push((partition.id(), high));
            }
            Ok(Self { brokers, topic, from })
        })
        .await?
    }

    /// Types of the events of this broadcast, up to the one that ends it, each event once.
    ///
    /// # Errors
    /// When Kafka is away.
    pub(crate) async fn read(self, broadcast: String) -> Result<Vec<String>> {
        tokio::task::spawn_blocking(move || self.collect(&broadcast)).await?
    }

    fn collect(&self, broadcast: &str) -> Result<Vec<String>> {
        let consumer = consumer(&self.brokers)?;
        let mut all = TopicPartitionList::new();
        for (partition, offset) in &self.from {
            all.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        consumer.assign(&all)?;
        let (mut kinds, mut known, start) = (Vec::new(), BTreeSet::new(), Instant::now());
        while start.elapsed() < LAST {
            let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
            let message = message.context("reading events")?;
            let data: Value =
                serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
            if data.get("broadcast").and_then(Value::as_str) != Some(broadcast) {
                continue;
            }
            let kind = header(&message, "ce_type").replace("dev.millrace.", "");
            let is_new = known.insert(header(&message, "ce_id"));
            if !is_new || USUAL.contains(&kind.as_str()) {
                continue;
            }
            let is_last = kind == "StreamEnded" || kind == "StreamFailed";
            kinds.push(kind);
            if is_last {
                break;
            }
        }
        Ok(kinds)
    }
}

fn consumer(brokers: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "millrace-faults");
    config.set("enable.auto.commit", "false");
    config.create().context("a reader of events")
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> String {
    let headers = message.headers();
    let found = headers.and_then(|all| all.iter().find(|header| header.key == name));
    found
        .and_then(|header| header.value)
        .map(String::from_utf8_lossy)
        .unwrap_or_default()
        .into_owned()
}
