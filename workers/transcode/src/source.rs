//! The log as the timeline's events, from the checkpoint on.

use millrace_media::record::Reassembler;
use millrace_media::time::Ticks;
use millrace_media::timeline::{Event, Snapshot, Timeline};
use millrace_platform::kafka::{KafkaError, LogReader, Start};

use crate::services::Services;

/// Why the log can't be followed.
#[derive(Debug, thiserror::Error)]
#[error("reading the log: {0}")]
pub struct SourceError(#[from] KafkaError);

/// What one record of the log said.
#[derive(Debug)]
pub struct Step {
    /// The offset after it.
    pub next_offset: i64,
    /// What follows from it.
    pub events: Vec<Event>,
}

/// See the module.
#[derive(Debug)]
pub struct Source {
    services: Services,
    reader: LogReader,
    reassembler: Reassembler,
    timeline: Timeline,
    /// Events of the restored state, to be said first.
    first: Option<Step>,
}

impl Source {
    /// From the checkpoint; from the log's beginning where there is none, or
    /// where it is older than the log.
    pub async fn open(services: &Services, segment: Ticks) -> Result<Self, SourceError> {
        let checkpoint = services.checkpoint().await?;
        let at = checkpoint.as_ref().map_or(Start::Beginning, |(offset, _)| Start::Offset(*offset));
        let opened = services.log_from(at).await;
        let mut events = Vec::new();
        let (reader, timeline) = match (opened, checkpoint) {
            (Ok(reader), Some((offset, snapshot))) => {
                tracing::info!(offset, "following the log from the checkpoint");
                (reader, Timeline::restore(snapshot, &mut events))
            }
            (Ok(reader), None) => {
                tracing::info!("following the log from its beginning");
                (reader, Timeline::new(segment))
            }
            (Err(error @ KafkaError::OutOfRange { .. }), Some(_)) => {
                tracing::error!(%error, "the checkpoint is gone from the log: frames are lost");
                (services.log_from(Start::Beginning).await?, Timeline::new(segment))
            }
            (Err(error), _) => return Err(error.into()),
        };
        Ok(Self {
            services: services.clone(),
            reader,
            reassembler: Reassembler::default(),
            timeline,
            first: Some(Step { next_offset: 0, events }),
        })
    }

    /// The fold's state after the last step.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.timeline.snapshot()
    }

    /// The next record's step; waits for it.
    pub async fn next(&mut self) -> Result<Step, SourceError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let message = self.reader.next().await?;
            match self.reassembler.push_at(message.offset, &message.payload) {
                Ok(None) => {}
                Ok(Some((begins, record))) => {
                    let mut events = Vec::new();
                    self.timeline.push(begins, record, &mut events);
                    self.services.metrics.fold(self.timeline.counters());
                    return Ok(Step { next_offset: message.offset.saturating_add(1), events });
                }
                // Of another version, or not ours: it costs itself, no more.
                Err(error) => {
                    tracing::warn!(offset = message.offset, %error, "a record is skipped");
                }
            }
        }
    }
}
