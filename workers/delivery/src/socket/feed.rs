//! The task of a stream that has clients: once a second it looks what the
//! stream is doing and what its figures are, one read of Redis however many
//! clients there are, and tells them what is new.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::breaker::{Breaker, BreakerError};
use millrace_platform::redis::metrics::MetricsStore;
use millrace_platform::report::report;
use millrace_platform::wall;

use super::channel::Channel;
use super::message::Status;
use super::news::Told;
use crate::live::streams::Streams;

/// So long after a second began its figures are there: whoever sums begins
/// with the second.
const SUMMED: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub struct Feed {
    stream: StreamId,
    sources: Sources,
    channel: Arc<Channel>,
    told: Told,
}

/// Where a feed learns things; shared by all.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What is shown of streams: by Redis, else by the object store.
    pub streams: Streams,
    /// The figures of each second.
    pub figures: MetricsStore,
    /// Keeps feeds from waiting for a Redis that does not answer.
    pub breaker: Arc<Breaker>,
}

impl Feed {
    /// Of a stream, for the clients of `channel`.
    pub fn new(stream: StreamId, sources: Sources, channel: Arc<Channel>) -> Self {
        Self { stream, sources, channel, told: Told::default() }
    }

    /// Looks each second, for ever.
    pub async fn run(mut self) {
        loop {
            self.look().await;
            wall::next_second().await;
            tokio::time::sleep(SUMMED).await;
        }
    }

    async fn look(&mut self) {
        let Sources { streams, figures, breaker } = &self.sources;
        // To follow it keeps it followed.
        let followed = streams.follow(&self.stream).await;
        let status = followed.ok().map(|followed| Status::of(&self.stream, &followed.now()));
        // At once: figures may be long in coming, or not come.
        self.channel.tell(&self.told.news(status, None));
        let read = breaker.call(figures.get_snapshot(&self.stream)).await;
        let snapshot = read.unwrap_or_else(|error| {
            if let BreakerError::Failed(error) = error {
                tracing::debug!(stream = %self.stream, error = report(&error), "no figures");
            }
            None
        });
        if snapshot.is_none() {
            self.channel.forget_metrics();
        }
        self.channel.tell(&self.told.news(None, snapshot));
    }
}
