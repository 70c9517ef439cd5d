//! Kafka: the log that owns the timeline.
//!
//! [`Producer`] appends, [`LogReader`] reads one partition from an offset,
//! [`Checkpoints`] remembers how far a reader has come, [`Admin`] makes and
//! deletes topics, [`Events`] announces what happened. [`Ends`] and [`Tails`]
//! look at the logs of many streams at once. librdkafka's own log goes to
//! `tracing`.

mod admin;
mod checkpoints;
mod context;
mod ends;
pub mod events;
mod producer;
mod reader;
mod tails;
mod topic;

pub use admin::{Admin, Ensured, Settings};
pub use checkpoints::{Checkpoint, Checkpoints, Committed};
pub use ends::{Ends, Offsets};
pub use events::{Envelope, Event, EventType, Events, NewestEvents};
pub use producer::{Delivered, Delivery, Producer, ProducerLimits, SendError};
pub use reader::{LogReader, LogRecord, ReaderOptions, Start, Watermarks};
pub use tails::{Stretch, Tails};
pub use topic::TopicSpec;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError as Source, RDKafkaErrorCode};

use crate::config::KafkaConfig;

/// A request to Kafka that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// There is no such topic (yet).
    #[error("topic {topic} does not exist at {brokers}")]
    TopicMissing {
        /// The topic.
        topic: String,
        /// Where it was looked for.
        brokers: String,
    },
    /// The offset asked for is not in the log (any more).
    #[error("offset {offset} of topic {topic} is not in the log, which holds {low} to {high}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The offset asked for.
        offset: i64,
        /// The first offset there.
        low: i64,
        /// One past the last offset there.
        high: i64,
    },
    /// A message is larger than the topic or the client takes.
    #[error("{what}: too large for Kafka at {brokers}")]
    TooLarge {
        /// What was attempted on what.
        what: String,
        /// Where.
        brokers: String,
    },
    /// No broker answers in time; worth another try.
    #[error("{what}: Kafka at {brokers} is not available")]
    Unavailable {
        /// What was attempted on what.
        what: String,
        /// Where.
        brokers: String,
        /// How it failed.
        #[source]
        source: Box<Source>,
    },
    /// Anything else.
    #[error("{what}: Kafka at {brokers} answered with an error")]
    Failed {
        /// What was attempted on what.
        what: String,
        /// Where.
        brokers: String,
        /// How it failed.
        #[source]
        source: Box<Source>,
    },
    /// The thread that did the work was lost.
    #[error("{what}: the thread was lost")]
    Lost {
        /// What was attempted on what.
        what: String,
    },
}

impl KafkaError {
    pub(crate) fn new(what: String, brokers: &str, source: Source) -> Self {
        let brokers = brokers.to_owned();
        let code = match &source {
            Source::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        match code {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Self::TooLarge { what, brokers },
            Some(code) if is_transient(code) => {
                Self::Unavailable { what, brokers, source: Box::new(source) }
            }
            _ => Self::Failed { what, brokers, source: Box::new(source) },
        }
    }

    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::BrokerTransportFailure
            | C::AllBrokersDown
            | C::OperationTimedOut
            | C::TimedOutQueue
            | C::RequestTimedOut
            | C::LeaderNotAvailable
            | C::NotLeaderForPartition
            | C::NetworkException
            | C::Resolve
            | C::WaitingForCoordinator
            | C::WaitCache
            | C::CoordinatorLoadInProgress
            | C::CoordinatorNotAvailable
            | C::NotCoordinator
            | C::NotEnoughReplicas
            | C::NotEnoughReplicasAfterAppend
            | C::BrokerNotAvailable
            // Patience is all it asks for (KIP-599).
            | C::ThrottlingQuotaExceeded
    )
}

/// What all clients have in common.
fn client_config(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "millrace")
        // Come back as soon as a broker does: live video waits for it.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "200")
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("socket.connection.setup.timeout.ms", "5000")
        // A name that resolves to ::1 too must not cost a second.
        .set("broker.address.family", "any")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set("log.connection.close", "false");
    let protocol = match (&config.tls, &config.login) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    if let Some(file) = config.tls.as_ref().and_then(|tls| tls.ca_file.as_deref()) {
        client.set("ssl.ca.location", file.display().to_string());
    }
    if let Some(login) = &config.login {
        client
            .set("sasl.mechanism", login.mechanism.as_str())
            .set("sasl.username", &login.username)
            .set("sasl.password", login.password.expose());
    }
    client
}

/// librdkafka's calls that wait do so on a thread of their own.
async fn blocking<T: Send + 'static>(
    what: impl Fn() -> String,
    work: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(KafkaError::Lost { what: what() }))
}
