//! The stream's log: opens epochs, appends records, ends broadcasts.
//!
//! Everything goes through one [`Ring`] and one writer ([`writer`]), so the
//! order of the log is the order of the calls. Who publishes is read from the
//! log itself ([`Tail`]) and never only remembered.

mod own;
pub(crate) mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use millrace_media::id::{BroadcastId, Epoch, KeyId, StreamId};
use millrace_media::record::{Body, End, EndReason, Open, Record, RecordError, split};
use millrace_platform::kafka::KafkaError;
use millrace_platform::log::{Closed, Control, Tail};
use tokio::sync::{Notify, OwnedMutexGuard, oneshot};
use tracing::{debug, error, info, warn};
use uuid::{NoContext, Timestamp, Uuid};

use crate::frames::Written;
use crate::metrics::Metrics;
use crate::ring::{Dropped, Entry, Kind, Ring};
use millrace_platform::wall;

use own::Own;
pub use own::Publishing;

/// Tries before an opening gives way to the others that keep winning.
const OPEN_TRIES: u32 = 5;

/// Why no epoch was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log can't be read.
    #[error("reading the log: {0}")]
    Read(#[from] KafkaError),
    /// The record can't be written down.
    #[error("writing an open record: {0}")]
    Record(#[from] RecordError),
    /// Kafka refused the record for good, or the process stops.
    #[error("the log refused the open record")]
    Refused,
    /// Another process opened an epoch each time.
    #[error("another process opened an epoch first, {OPEN_TRIES} times")]
    Lost,
}

/// The right to open an epoch; one holder at a time.
pub type Turn = OwnedMutexGuard<()>;

#[derive(Debug, Default)]
struct Known {
    control: Control,
    /// Where reading goes on.
    offset: i64,
}

/// The log of one stream.
#[derive(Debug)]
pub struct Log {
    stream: StreamId,
    tail: Tail,
    metrics: Metrics,
    ring: Mutex<Ring>,
    /// The ring has something.
    filled: Notify,
    opening: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
    own: Mutex<Own>,
    publishing: Mutex<Weak<Publishing>>,
    /// The log was read once.
    read: AtomicBool,
}

impl Log {
    /// Holds at most `ring_bytes` while Kafka takes nothing.
    pub fn new(stream: StreamId, tail: Tail, ring_bytes: usize, metrics: Metrics) -> Self {
        Self {
            stream,
            tail,
            metrics,
            ring: Mutex::new(Ring::new(ring_bytes)),
            filled: Notify::new(),
            opening: Arc::default(),
            known: Mutex::default(),
            own: Mutex::default(),
            publishing: Mutex::default(),
            read: AtomicBool::new(false),
        }
    }

    /// Waits for the right to open an epoch, or to end one for good.
    pub async fn opening(&self) -> Turn {
        Arc::clone(&self.opening).lock_owned().await
    }

    /// What the log said when it was last read, and what was written since.
    pub fn control(&self) -> Control {
        lock(&self.known).control.clone()
    }

    /// That a broadcast is over, if the log said so when it was last read.
    pub fn closed(&self, broadcast: BroadcastId) -> Option<Closed> {
        let known = lock(&self.known);
        known.control.closed().filter(|closed| closed.facts.broadcast == broadcast).cloned()
    }

    /// Reads what others wrote.
    ///
    /// # Errors
    /// When Kafka can't be asked.
    pub async fn catch_up(&self) -> Result<i64, KafkaError> {
        let (mut control, from) = {
            let known = lock(&self.known);
            (known.control.clone(), known.offset)
        };
        let end = self.tail.read(from, &mut control).await?;
        *lock(&self.known) = Known { control: control.clone(), offset: end };
        // Last: who is told may look at what is known.
        if let Some(publishing) = lock(&self.publishing).upgrade() {
            publishing.compare(&control);
        }
        self.read.store(true, Ordering::Relaxed);
        Ok(end)
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// When Kafka can't be asked, or there is no such topic.
    pub async fn end_offset(&self) -> Result<i64, KafkaError> {
        self.tail.bounds().await.map(|bounds| bounds.high)
    }

    /// Reads the log if that was never done, or if others wrote to it while
    /// somebody publishes here; else asks only whether it is there.
    ///
    /// # Errors
    /// When Kafka can't be asked, or there is no such topic.
    pub async fn look(&self) -> Result<(), KafkaError> {
        let mut others = 0;
        if self.read.load(Ordering::Relaxed) {
            self.end_offset().await?;
            let own = lock(&self.own);
            others = own.others();
            if !own.is_news(others) || lock(&self.publishing).strong_count() == 0 {
                return Ok(());
            }
        }
        let _turn = self.opening().await;
        self.catch_up().await?;
        lock(&self.own).have_read(others);
        Ok(())
    }

    /// Somebody publishes in this epoch, as long as what is returned lives.
    pub fn publishing(&self, epoch: Epoch, facts: &Open) -> Arc<Publishing> {
        let publishing = Arc::new(Publishing::new(epoch, facts));
        *lock(&self.publishing) = Arc::downgrade(&publishing);
        publishing
    }

    /// Opens the next epoch: of the broadcast that waits for its publisher, or
    /// of a new one. Reads the tail, appends, reads back; the first `open` of
    /// an epoch wins.
    ///
    /// # Errors
    /// When the log can't be read or written, or others keep winning.
    pub async fn open(&self, _turn: &Turn, key_id: &KeyId) -> Result<(Epoch, Open), OpenError> {
        for _ in 0..OPEN_TRIES {
            let end = self.catch_up().await?;
            let control = self.control();
            let epoch = control.next_epoch(end);
            let facts = next_facts(&control, key_id);
            let offset = self.append_open(epoch, &facts).await?;
            debug!(stream = %self.stream, %epoch, offset, "open appended, reading back");
            self.catch_up().await?;
            let control = self.control();
            let won = control.open().is_some_and(|open| open.nonce == facts.nonce);
            if won && control.epoch() == Some(epoch) {
                let broadcast = facts.broadcast;
                info!(stream = %self.stream, %epoch, %broadcast, "epoch opened");
                return Ok((epoch, facts));
            }
            warn!(stream = %self.stream, %epoch, "another process opened this epoch first");
        }
        Err(OpenError::Lost)
    }

    async fn append_open(&self, epoch: Epoch, facts: &Open) -> Result<i64, OpenError> {
        let record = Record { epoch, body: Body::Open(facts.clone()) };
        let (sender, appended) = oneshot::channel();
        let mut entries: Vec<Entry> = split(&record)?.into_iter().map(Entry::from).collect();
        if let Some(last) = entries.last_mut() {
            last.appended = Some(sender);
        }
        self.push(Kind::Control, entries);
        appended.await.map_err(|_| OpenError::Refused)
    }

    /// Appends the records of a message; says what was given up for them.
    pub fn write(&self, written: &Written) -> Dropped {
        let kind = if written.starts_gop { Kind::GopStart } else { Kind::Inside };
        let mut entries = Vec::with_capacity(written.records.len());
        for record in &written.records {
            match split(record) {
                Ok(messages) => entries.extend(messages.into_iter().map(Entry::from)),
                Err(error) => error!(stream = %self.stream, "a record can't be written: {error}"),
            }
        }
        if entries.is_empty() { Dropped::default() } else { self.push(kind, entries) }
    }

    /// Ends a broadcast, after everything that was appended before.
    pub fn end(&self, epoch: Epoch, broadcast: BroadcastId, reason: EndReason) {
        let record = Record { epoch, body: Body::End(End { broadcast, reason }) };
        match split(&record) {
            Ok(messages) => {
                self.push(Kind::Control, messages.into_iter().map(Entry::from).collect());
                lock(&self.known).control.push(&record, wall::ms());
            }
            Err(error) => error!(stream = %self.stream, "an end can't be written: {error}"),
        }
    }

    fn push(&self, kind: Kind, entries: Vec<Entry>) -> Dropped {
        let (dropped, bytes) = {
            let mut ring = lock(&self.ring);
            (ring.push(kind, entries), ring.bytes())
        };
        self.metrics.ring_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        if dropped.gops > 0 {
            warn!(stream = %self.stream, gops = dropped.gops, frames = dropped.messages,
                "the log takes too little, groups of pictures are given up");
        }
        self.metrics.dropped_gops.inc_by(dropped.gops);
        self.metrics.dropped_frames.inc_by(dropped.messages);
        self.filled.notify_one();
        dropped
    }

    fn pop(&self) -> Option<Entry> {
        let (entry, bytes) = {
            let mut ring = lock(&self.ring);
            (ring.pop(), ring.bytes())
        };
        self.metrics.ring_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        entry
    }

    /// The client did not take it; it stays first.
    fn put_back(&self, entry: Entry) {
        lock(&self.ring).put_back(entry);
    }
}

/// The facts of the next epoch.
fn next_facts(control: &Control, key_id: &KeyId) -> Open {
    let (broadcast, started_ms, resumed) = if let Some(open) = control.open() {
        (open.broadcast, open.started_ms, true)
    } else {
        let last = control.closed().map(|closed| closed.facts.broadcast);
        (next_broadcast(last, Uuid::now_v7()), wall::ms(), false)
    };
    Open { broadcast, nonce: Uuid::new_v4(), key_id: key_id.clone(), started_ms, resumed }
}

/// A broadcast after the last one, also where the clock says that it is before:
/// ids grow, and who follows a stream goes by that.
fn next_broadcast(last: Option<BroadcastId>, now: Uuid) -> BroadcastId {
    let ahead = last.filter(|last| last.0 >= now).and_then(|last| last.0.get_timestamp());
    let Some(ahead) = ahead else { return BroadcastId(now) };
    let (seconds, nanos) = ahead.to_unix();
    let next = Duration::new(seconds, nanos) + Duration::from_millis(1);
    let at = Timestamp::from_unix(NoContext, next.as_secs(), next.subsec_nanos());
    BroadcastId(Uuid::new_v7(at))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasts_grow_whatever_the_clock_says() {
        let at = |seconds| Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
        let (before, after) = (at(1_000), at(4_600));
        assert_eq!(next_broadcast(None, before).0, before);
        assert_eq!(next_broadcast(Some(BroadcastId(before)), after).0, after);
        // Set back by an hour, twice in one go.
        let next = next_broadcast(Some(BroadcastId(after)), before);
        let third = next_broadcast(Some(next), before);
        assert!(BroadcastId(after) < next && next < third);
        assert_eq!(third.0.get_timestamp().unwrap().to_unix(), (4_600, 2_000_000));
    }
}
