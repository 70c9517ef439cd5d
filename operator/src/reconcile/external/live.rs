//! Who publishes, seen in the logs themselves: neither Postgres nor Redis is
//! asked.
//!
//! Each second one request asks where all frames topics end. Where an end moved
//! after standing still, or stopped moving, or is seen for the first time, the
//! log's tail is read for its control records; an idle stream costs nothing
//! more. While Kafka is away what it last said goes, after a moment: a stream
//! that can't be seen is not one that is not live.

mod look;
mod watched;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::id::{BroadcastId, Epoch, StreamId};
use millrace_media::record::EndReason;
use millrace_platform::kafka::{Ends, Tails};
use millrace_platform::wall;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{External, ExternalError};
use look::Looking;

/// Changes that wait for whoever reconciles; more wait with the task, each
/// stream once.
const CHANGES: usize = 1_024;

/// Whether all is known is looked at this often.
const LOOK: Duration = Duration::from_millis(100);

/// The last broadcast in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcast {
    /// Which.
    pub id: BroadcastId,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// Its last publisher connection.
    pub epoch: Epoch,
    /// Whether a picture came.
    pub pictured: bool,
    /// When (ms since 1970) and why it ended; none while it is open.
    pub ended: Option<(i64, EndReason)>,
}

impl Broadcast {
    /// It has a publisher, or waits for it to come back.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }
}

/// What is seen of one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Seen {
    /// Kafka is away, or was not asked yet.
    #[default]
    Unknown,
    /// This is what the log says.
    Known {
        /// The last broadcast; none when there was none as long as the log
        /// remembers.
        broadcast: Option<Broadcast>,
        /// Records come in.
        moving: bool,
        /// Since when it is so, ms since 1970.
        since_ms: i64,
    },
}

impl Seen {
    /// The last broadcast, where one is known.
    pub fn broadcast(&self) -> Option<BroadcastId> {
        match self {
            Self::Unknown => None,
            Self::Known { broadcast, .. } => broadcast.map(|broadcast| broadcast.id),
        }
    }

    /// A broadcast is open; none when that is not known.
    pub fn is_live(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Known { broadcast, .. } => Some(broadcast.is_some_and(|b| b.is_open())),
        }
    }

    /// Whether there is something to do for a transcoder: a broadcast is open,
    /// or records come in; none when that is not known.
    pub fn is_busy(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Known { moving, .. } => Some(*moving || self.is_live() == Some(true)),
        }
    }

    /// The same but for the time.
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, Self::Unknown) => true,
            (
                Self::Known { broadcast, moving, .. },
                Self::Known { broadcast: of_other, moving: other, .. },
            ) => broadcast == of_other && moving == other,
            _ => false,
        }
    }
}

/// The streams to look at, and what is seen of them. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LiveView {
    streams: Arc<Mutex<BTreeMap<StreamId, Seen>>>,
    /// Counts what brings it nearer to knowing all.
    progress: Arc<AtomicUsize>,
}

impl LiveView {
    /// What is seen of a stream.
    pub fn get(&self, stream: &StreamId) -> Seen {
        self.all().get(stream).copied().unwrap_or_default()
    }

    /// Look at this stream too.
    pub fn watch(&self, stream: StreamId) {
        self.all().entry(stream).or_default();
    }

    /// Look at this stream too, whose log is known to be empty.
    pub fn watch_empty(&self, stream: StreamId) {
        let empty = Seen::Known { broadcast: None, moving: false, since_ms: wall::ms() };
        self.all().entry(stream).or_insert(empty);
    }

    /// Look at it no more.
    pub fn unwatch(&self, stream: &StreamId) {
        self.all().remove(stream);
    }

    /// Wait until every stream that is watched now was looked at, as long as
    /// that gets on: of many thousands it takes a while. No longer than
    /// `patience` without: then Kafka is away, or says nothing of some.
    pub async fn all_known(&self, patience: Duration) {
        let mut got_on = (self.progress.load(Ordering::Relaxed), Instant::now());
        while self.all().values().any(|seen| *seen == Seen::Unknown) {
            tokio::time::sleep(LOOK).await;
            let progress = self.progress.load(Ordering::Relaxed);
            if progress != got_on.0 {
                got_on = (progress, Instant::now());
            } else if got_on.1.elapsed() >= patience {
                return;
            }
        }
    }

    /// One log is nearer to being known.
    fn gets_on(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// The streams with an open broadcast.
    pub fn live(&self) -> Vec<StreamId> {
        let all = self.all();
        let live = all.iter().filter(|(_, seen)| seen.is_live() == Some(true));
        live.map(|(stream, _)| stream.clone()).collect()
    }

    fn watched(&self) -> Vec<StreamId> {
        self.all().keys().cloned().collect()
    }

    /// Says whether it is another than before.
    fn put(&self, stream: &StreamId, new: Seen) -> bool {
        let mut all = self.all();
        // What is no more looked at comes not back.
        let Some(seen) = all.get_mut(stream) else { return false };
        let changed = !seen.is_as(&new);
        if *seen == Seen::Unknown && changed {
            self.gets_on();
        }
        if changed {
            *seen = new;
        }
        changed
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<StreamId, Seen>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to look. The future is the task: it goes on until `stop`. Streams
/// whose state changed come out of the channel.
///
/// # Errors
/// When the client can't be made.
pub fn start(
    outside: &External,
    stop: CancellationToken,
) -> Result<(LiveView, mpsc::Receiver<StreamId>, impl Future<Output = ()> + use<>), ExternalError> {
    let (ends, tails) = (Ends::open(&outside.kafka)?, Tails::open(&outside.kafka)?);
    let (changes, told) = mpsc::channel(CHANGES);
    let view = LiveView::default();
    let looking = Looking::new(outside.clone(), view.clone(), (ends, tails), changes);
    Ok((view, told, looking.run(stop)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_logs_are_waited_for_as_long_as_that_gets_on() {
        let (view, second) = (LiveView::default(), Duration::from_secs(1));
        let streams = [1, 2, 3].map(|n| StreamId::new("events", &format!("s{n}")).unwrap());
        for stream in &streams {
            view.watch(stream.clone());
        }
        let seen = view.clone();
        let task = tokio::spawn(async move {
            // A first look that says too little, then one log after the other.
            tokio::time::sleep(4 * second).await;
            seen.gets_on();
            for stream in &streams[..2] {
                tokio::time::sleep(4 * second).await;
                let known = Seen::Known { broadcast: None, moving: false, since_ms: 0 };
                assert!(seen.put(stream, known));
            }
        });
        let begun = Instant::now();
        view.all_known(5 * second).await;
        // Nothing came after the twelfth.
        let waited = begun.elapsed();
        assert!((17 * second..18 * second).contains(&waited), "{waited:?}");
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_not_waited_for() {
        let view = LiveView::default();
        view.watch_empty(StreamId::new("events", "new").unwrap());
        let begun = Instant::now();
        view.all_known(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
