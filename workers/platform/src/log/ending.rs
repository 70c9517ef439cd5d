//! Ending a broadcast from outside, by the log itself: whoever publishes sees
//! that it is over, whoever encodes ends it there, and who was away finds it.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::{BroadcastId, Epoch, StreamId};
use millrace_media::record::{Body, End, EndReason, Record, RecordError, split};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Control, Tail};
use crate::config::{Installation, KafkaConfig};
use crate::kafka::{KafkaError, Producer, ProducerLimits, SendError};
use crate::names::topics;

/// Broadcasts that are ended at a time: each reads the end of a log.
const PLACES: usize = 2;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broadcast was not ended, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The log can't be read or written.
    #[error("ending a broadcast in the log")]
    Kafka(#[from] KafkaError),
    /// The producer takes nothing now.
    #[error("ending a broadcast in the log")]
    Send(#[from] SendError),
    /// The record can't be written down. Does not happen.
    #[error("writing an end record")]
    Record(#[from] RecordError),
    /// Kafka takes too long. It may be ended yet.
    #[error("the log does not answer in time")]
    Late,
}

impl EndError {
    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Kafka(error) | Self::Send(SendError::Refused(error)) => error.is_transient(),
            Self::Send(SendError::QueueFull) | Self::Late => true,
            Self::Record(_) => false,
        }
    }
}

/// One of the few places at which broadcasts are ended; dropping it frees it.
#[derive(Debug)]
pub struct EndingPlace(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

/// Ends broadcasts of an installation. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Endings {
    kafka: KafkaConfig,
    producer: Producer,
    installation: Installation,
    places: Arc<Semaphore>,
}

impl Endings {
    /// Opens it. Asks no broker.
    ///
    /// # Errors
    /// When a setting can't be used.
    pub fn open(kafka: &KafkaConfig, installation: &Installation) -> Result<Self, KafkaError> {
        let producer = Producer::open(kafka, ProducerLimits { kilobytes: 1_024, messages: 1_000 })?;
        let places = Arc::new(Semaphore::new(PLACES));
        Ok(Self { kafka: kafka.clone(), producer, installation: installation.clone(), places })
    }

    /// Ends this broadcast for an administrator, if the log says that it is
    /// open; says whether it did. Asked again meanwhile it may do so twice,
    /// which is once.
    pub async fn end(&self, stream: &StreamId, broadcast: BroadcastId) -> Result<bool, EndError> {
        let work = async { self.end_at(self.place().await, stream, broadcast).await };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(EndError::Late))
    }

    /// A place among those that end broadcasts now. To wait for it says nothing
    /// of Kafka.
    pub async fn place(&self) -> EndingPlace {
        // Never closed.
        EndingPlace(self.places.clone().acquire_owned().await.ok())
    }

    /// The same at a place that was waited for before, for as long as it takes.
    pub async fn end_at(
        &self,
        _place: EndingPlace,
        stream: &StreamId,
        broadcast: BroadcastId,
    ) -> Result<bool, EndError> {
        let topic = topics::frames_topic(&self.installation, stream);
        let tail = Tail { kafka: self.kafka.clone(), topic, producer: self.producer.clone() };
        let mut control = Control::default();
        let mut read = tail.read(0, &mut control).await?;
        let is_open = control.open().is_some_and(|open| open.broadcast == broadcast);
        let Some(mut epoch) = control.epoch().filter(|_| is_open) else { return Ok(false) };
        loop {
            for message in split(&record(epoch, broadcast))? {
                self.producer.send(&tail.topic, stream.as_str(), &message)?.wait().await?;
            }
            read = tail.read(read, &mut control).await?;
            // A publisher that came between makes the record void.
            match control.epoch().filter(|newest| *newest > epoch) {
                Some(newer) => epoch = newer,
                None => return Ok(true),
            }
        }
    }
}

fn record(epoch: Epoch, broadcast: BroadcastId) -> Record {
    Record { epoch, body: Body::End(End { broadcast, reason: EndReason::Administrator }) }
}
