//! An installation of one test's own on the Kafka that `make test` starts.

use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::config::{Env, Installation, KafkaConfig};
use millrace_platform::kafka::{Admin, Producer, ProducerLimits};

/// Longest wait for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct World {
    pub(crate) kafka: KafkaConfig,
    pub(crate) installation: Installation,
    pub(crate) stream: StreamId,
}

impl World {
    pub(crate) fn new() -> Self {
        let brokers = std::env::var("TEST_KAFKA_BROKERS");
        let brokers = brokers.expect("TEST_KAFKA_BROKERS is not set: run `make test`");
        Self::on(&brokers)
    }

    /// On these brokers.
    pub(crate) fn on(brokers: &str) -> Self {
        let unique = format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
        let pairs = [("KAFKA_BROKERS", brokers), ("MILLRACE_INSTALLATION", &unique)];
        let env = Env::from_pairs(pairs);
        Self {
            kafka: KafkaConfig::read(&env).unwrap(),
            installation: Installation::read(&env).unwrap(),
            stream: "events.keynote".parse().unwrap(),
        }
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::open(&self.kafka).unwrap()
    }

    pub(crate) fn producer(&self) -> Producer {
        Producer::open(&self.kafka, ProducerLimits::default()).unwrap()
    }
}
