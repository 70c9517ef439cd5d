//! Appending to the log: idempotent, acks=all, in order, without giving up.

use std::time::Duration;

use rdkafka::message::OwnedHeaders;
use rdkafka::producer::future_producer::{DeliveryFuture, OwnedDeliveryResult};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use super::context::Context;
use super::reader::{Watermarks, watermarks};
use super::{KafkaError, blocking, client_config};
use crate::config::KafkaConfig;

/// How much a producer holds that no broker has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerLimits {
    /// Kilobytes of payload.
    pub kilobytes: u32,
    /// Messages.
    pub messages: u32,
}

impl Default for ProducerLimits {
    fn default() -> Self {
        Self { kilobytes: 32 * 1024, messages: 50_000 }
    }
}

/// A message that was not taken. Nothing is queued.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The queue is at its limit: hold the message and try again later.
    #[error("the producer's queue is full")]
    QueueFull,
    /// It will never be taken.
    #[error(transparent)]
    Refused(KafkaError),
}

/// Where a message is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// Resolves when the brokers have a message, or will never have it. May be
/// dropped: the message is sent all the same.
pub struct Delivery {
    inner: DeliveryFuture,
    what: String,
    brokers: String,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("what", &self.what).finish_non_exhaustive()
    }
}

impl Delivery {
    /// Waits for the brokers; while they are away, as long as that takes.
    pub async fn wait(self) -> Result<Delivered, KafkaError> {
        let result: Result<OwnedDeliveryResult, _> = self.inner.await;
        match result {
            Ok(Ok(delivery)) => {
                Ok(Delivered { partition: delivery.partition, offset: delivery.offset })
            }
            Ok(Err((source, _))) => Err(KafkaError::new(self.what, &self.brokers, source)),
            Err(_) => Err(KafkaError::Lost { what: self.what }),
        }
    }
}

/// A producer. Clones share its queue.
#[derive(Clone)]
pub struct Producer {
    inner: FutureProducer<Context>,
    brokers: String,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Producer({})", self.brokers)
    }
}

impl Producer {
    /// Opens a producer. Asks no broker.
    pub fn open(config: &KafkaConfig, limits: ProducerLimits) -> Result<Self, KafkaError> {
        let inner = client_config(config)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            // Never give up: what was taken stays in order, without holes.
            .set("message.timeout.ms", "0")
            .set("request.timeout.ms", "10000")
            .set("retry.backoff.ms", "50")
            .set("retry.backoff.max.ms", "200")
            .set("queue.buffering.max.kbytes", limits.kilobytes.to_string())
            .set("queue.buffering.max.messages", limits.messages.to_string())
            .set("message.max.bytes", "1048576")
            // Coded video does not get smaller.
            .set("compression.type", "none")
            .create_with_context(Context)
            .map_err(|e| KafkaError::new("open a producer".to_owned(), &config.brokers, e))?;
        Ok(Self { inner, brokers: config.brokers.clone() })
    }

    /// Queues a message. Messages of one topic and key arrive in the order of
    /// the calls.
    pub fn send(&self, topic: &str, key: &str, payload: &[u8]) -> Result<Delivery, SendError> {
        self.send_with_headers(topic, key, payload, OwnedHeaders::new())
    }

    pub(super) fn send_with_headers(
        &self,
        topic: &str,
        key: &str,
        payload: &[u8],
        headers: OwnedHeaders,
    ) -> Result<Delivery, SendError> {
        let record = FutureRecord::to(topic).key(key).payload(payload).headers(headers);
        let what = || format!("append to {topic}");
        match self.inner.send_result(record) {
            Ok(inner) => Ok(Delivery { inner, what: what(), brokers: self.brokers.clone() }),
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => Err(SendError::QueueFull),
                _ => Err(SendError::Refused(KafkaError::new(what(), &self.brokers, error))),
            },
        }
    }

    /// What a topic holds now. A producer knows the brokers already, so it
    /// answers sooner than a new reader would.
    pub async fn watermarks(&self, topic: &str) -> Result<Watermarks, KafkaError> {
        let what = format!("ask for the ends of {topic}");
        let (this, topic) = (self.clone(), topic.to_owned());
        blocking(|| what.clone(), {
            let what = what.clone();
            move || watermarks(this.inner.client(), &topic, &this.brokers, &what)
        })
        .await
    }

    /// Messages queued or on their way.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// An error after which this producer takes nothing more; a process that
    /// sees one must end.
    pub fn fatal_error(&self) -> Option<String> {
        self.inner.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }

    /// Waits until everything queued is acknowledged.
    pub async fn flush(&self, timeout: Duration) -> Result<(), KafkaError> {
        let what = || "flush the producer".to_owned();
        let (inner, brokers) = (self.inner.clone(), self.brokers.clone());
        blocking(what, move || {
            inner.flush(timeout).map_err(|e| KafkaError::new(what(), &brokers, e))
        })
        .await
    }
}
