//! librdkafka's callbacks: its log becomes `tracing` events.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// The context of every client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: Level, facility: &str, message: &str) {
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            Level::Warning | Level::Notice => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            Level::Info | Level::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Most heal by themselves; calls that fail for them say so.
        tracing::info!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Context {}
