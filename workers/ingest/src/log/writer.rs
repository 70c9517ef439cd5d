//! From the ring to Kafka: in order, a bounded number of messages on their way.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use millrace_platform::kafka::{Delivered, KafkaError, Producer, SendError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Log;
use crate::ring::Entry;
use millrace_platform::report::report;

/// Messages handed to the client and not yet acknowledged. The rest waits in
/// the ring, where whole groups of pictures can be given up.
const IN_FLIGHT: usize = 1_000;
/// Bytes of them.
const IN_FLIGHT_BYTES: usize = 8 * 1024 * 1024;
/// Pause when the client takes nothing.
const FULL: Duration = Duration::from_millis(20);
/// How long a stopping process waits for the last acknowledgements.
const FAREWELL: Duration = Duration::from_secs(8);

/// The producer takes nothing more; the process must start again.
#[derive(Debug, thiserror::Error)]
#[error("the Kafka producer has failed for good: {0}")]
pub(crate) struct WriterError(String);

/// Moves the ring to Kafka until `stop`, and then for a moment what is left.
pub(crate) async fn run(
    log: Arc<Log>,
    producer: Producer,
    stop: CancellationToken,
) -> Result<(), WriterError> {
    let mut writer = Writer { log, producer, on_their_way: FuturesUnordered::new(), bytes: 0 };
    tokio::select! {
        result = writer.work() => return result,
        () = stop.cancelled() => {}
    }
    if tokio::time::timeout(FAREWELL, writer.drain()).await.is_err() {
        warn!("Kafka did not take the last records in time");
    }
    Ok(())
}

type Appended = (usize, Option<oneshot::Sender<i64>>, Result<Delivered, KafkaError>);
type Delivery = futures::future::BoxFuture<'static, Appended>;

struct Writer {
    log: Arc<Log>,
    producer: Producer,
    on_their_way: FuturesUnordered<Delivery>,
    bytes: usize,
}

impl Writer {
    /// Cancel-safe: a message is either in the ring or with the client.
    async fn work(&mut self) -> Result<(), WriterError> {
        loop {
            let pause = self.fill()?;
            let log = Arc::clone(&self.log);
            tokio::select! {
                Some(appended) = self.on_their_way.next() => self.note(appended)?,
                () = log.filled.notified(), if self.has_room() && !pause => {}
                () = tokio::time::sleep(FULL), if pause => {}
            }
        }
    }

    async fn drain(&mut self) -> Result<(), WriterError> {
        loop {
            let pause = self.fill()?;
            match self.on_their_way.next().await {
                Some(appended) => self.note(appended)?,
                None if pause => tokio::time::sleep(FULL).await,
                None => return Ok(()),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.on_their_way.len() < IN_FLIGHT && self.bytes < IN_FLIGHT_BYTES
    }

    /// Hands over what the client takes; says whether it took too little.
    fn fill(&mut self) -> Result<bool, WriterError> {
        while self.has_room() {
            let Some(entry) = self.log.pop() else { return Ok(false) };
            let (topic, key) = (&self.log.tail.topic, self.log.stream.as_str());
            match self.producer.send(topic, key, &entry.bytes) {
                Ok(delivery) => {
                    let Entry { bytes, appended } = entry;
                    self.bytes += bytes.len();
                    let length = bytes.len();
                    self.on_their_way
                        .push(Box::pin(async move { (length, appended, delivery.wait().await) }));
                }
                Err(SendError::QueueFull) => {
                    self.log.put_back(entry);
                    return Ok(true);
                }
                Err(SendError::Refused(refused)) => self.refused(&refused)?,
            }
        }
        Ok(false)
    }

    fn note(&mut self, (length, waiting, result): Appended) -> Result<(), WriterError> {
        self.bytes = self.bytes.saturating_sub(length);
        match result {
            Ok(Delivered { offset, .. }) => {
                self.log.metrics.appended.inc();
                super::lock(&self.log.own).note(offset);
                if let Some(waiting) = waiting {
                    // Nobody waits any more: fine.
                    let _ = waiting.send(offset);
                }
                Ok(())
            }
            Err(refused) => self.refused(&refused),
        }
    }

    fn refused(&self, refused: &KafkaError) -> Result<(), WriterError> {
        self.log.metrics.append_failures.inc();
        error!(stream = %self.log.stream, "a record is lost: {}", report(refused));
        match self.producer.fatal_error() {
            Some(fatal) => Err(WriterError(fatal)),
            None => Ok(()),
        }
    }
}
