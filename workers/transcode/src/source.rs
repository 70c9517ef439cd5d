//! The log as the timeline's events, from the checkpoint on.

use millrace_media::record::Reassembler;
use millrace_media::time::Ticks;
use millrace_media::timeline::{Event, Snapshot, Timeline};
use millrace_platform::kafka::{KafkaError, LogReader, Start};
use millrace_platform::wall;

use crate::gop::Gops;
use crate::services::{PublishError, Services};

/// Why the log can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It can't be read.
    #[error("reading the log: {0}")]
    Log(#[from] KafkaError),
    /// What is published of a broadcast can't be read.
    #[error("finding out what is published: {0}")]
    Published(#[from] PublishError),
}

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
    gops: Gops,
    /// Of the counters, when they were last told.
    foreign_audio: u64,
    /// Events of the restored state, to be said first.
    first: Option<Step>,
}

impl Source {
    /// From the checkpoint; from the log's beginning where there is none, or
    /// where it is older than the log. With `skip_to`, what comes before that
    /// offset counts as lost.
    pub async fn open(
        services: &Services,
        segment: Ticks,
        skip_to: Option<i64>,
    ) -> Result<Self, SourceError> {
        let mut source = Self::at_checkpoint(services, segment, skip_to).await?;
        source.settle_partial().await?;
        Ok(source)
    }

    async fn at_checkpoint(
        services: &Services,
        segment: Ticks,
        skip_to: Option<i64>,
    ) -> Result<Self, SourceError> {
        let checkpoint = services.checkpoint().await?;
        let committed = checkpoint.as_ref().map(|(offset, _)| *offset);
        let at = skip_to.max(committed).map_or(Start::Beginning, Start::Offset);
        let opened = services.log_from(at).await;
        let mut begins = skip_to.max(committed).unwrap_or(0);
        let mut events = Vec::new();
        let (reader, timeline) = match (opened, checkpoint) {
            (Ok(reader), Some((offset, snapshot))) if skip_to > Some(offset) => {
                (reader, Timeline::restore_after_loss(snapshot, segment, &mut events))
            }
            (Ok(reader), Some((offset, snapshot))) => {
                tracing::info!(offset, "following the log from the checkpoint");
                (reader, Timeline::restore(snapshot, segment, &mut events))
            }
            (Ok(reader), None) => {
                tracing::info!("following the log from its beginning");
                (reader, Timeline::new(segment))
            }
            (Err(KafkaError::OutOfRange { low, high, .. }), Some((offset, snapshot))) => {
                let lost = low.saturating_sub(offset).max(0);
                tracing::error!(offset, low, high, lost, "the checkpoint is not in the log");
                services.metrics.lost(lost);
                begins = low;
                let reader = services.log_from(Start::Beginning).await?;
                // A log that was made anew ends before the checkpoint.
                let made_anew = high < offset;
                let restore = if made_anew {
                    Timeline::restore_in_a_new_log
                } else {
                    Timeline::restore_after_loss
                };
                (reader, restore(snapshot, segment, &mut events))
            }
            (Err(error), _) => return Err(error.into()),
        };
        Ok(Self {
            services: services.clone(),
            reader,
            reassembler: Reassembler::default(),
            timeline,
            gops: Gops::default(),
            foreign_audio: 0,
            first: Some(Step { next_offset: begins, events }),
        })
    }

    fn tell_counters(&mut self) {
        let counters = self.timeline.counters();
        if counters.foreign_audio > 0 && self.foreign_audio == 0 {
            tracing::warn!(
                "the publisher came back with sound of another sample rate, or of a form that is \
                 not taken: silence stands in for it until the broadcast ends or the sound is as \
                 before"
            );
        }
        self.foreign_audio = counters.foreign_audio;
        self.services.metrics.fold(counters);
    }

    /// Where the log does not have a broadcast's beginning, what is published
    /// says how far it had come.
    async fn settle_partial(&mut self) -> Result<(), SourceError> {
        let Some(broadcast) = self.timeline.partial() else { return Ok(()) };
        let published = self.services.published(broadcast).await?;
        let reached = published.reached();
        if reached.is_none() && (published.blind.index || published.blind.redis) {
            return Err(PublishError::Unknown { broadcast }.into());
        }
        tracing::warn!(%broadcast, ?reached, "the log does not have this broadcast's beginning");
        self.timeline.go_on_after(reached);
        Ok(())
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
            let lag_ms = wall::ms().saturating_sub(message.timestamp_ms);
            self.services.metrics.read(message.offset.saturating_add(1), lag_ms);
            match self.reassembler.push_at(message.offset, &message.payload) {
                Ok(None) => {}
                Ok(Some((begins, record))) => {
                    self.services.metrics.gop_too_long(self.gops.push(&record));
                    let mut events = Vec::new();
                    self.timeline.push(begins, record, &mut events);
                    self.settle_partial().await?;
                    self.tell_counters();
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
