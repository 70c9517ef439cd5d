//! The reconnect window: a broadcast without a publisher ends after it.
//!
//! Whether it has one, the log says: another process, of a pod that Kubernetes
//! has given up, may have the publisher still. So a broadcast waits from the
//! last record that came, and while records come nothing is told of it.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::{BroadcastId, Epoch};
use millrace_media::record::{EndReason, Open};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::stream::Stream;

/// A log without records for so long has no publisher.
const STILL: Duration = Duration::from_secs(5);
/// Longest time between looks at the log's end.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
struct Waiting {
    epoch: Epoch,
    facts: Open,
    /// It was told that the publisher is lost.
    told: bool,
    /// Without a publisher since then, as far as is known.
    since: Instant,
}

/// What waits for its publisher, if anything does.
#[derive(Debug)]
pub struct Window {
    length: Duration,
    waiting: watch::Sender<Option<Waiting>>,
}

impl Window {
    /// A window of this length; nothing waits yet.
    pub fn new(length: Duration) -> Self {
        Self { length, waiting: watch::Sender::new(None) }
    }

    /// This broadcast waits from now on.
    pub fn arm(&self, epoch: Epoch, facts: &Open) {
        self.set(epoch, facts, true, Instant::now());
    }

    /// The same, but its publisher may be another process's.
    pub fn arm_untold(&self, epoch: Epoch, facts: &Open) {
        self.set(epoch, facts, false, Instant::now());
    }

    fn set(&self, epoch: Epoch, facts: &Open, told: bool, since: Instant) {
        let facts = facts.clone();
        self.waiting.send_replace(Some(Waiting { epoch, facts, told, since }));
    }

    /// A publisher is here.
    pub fn disarm(&self) {
        self.waiting.send_replace(None);
    }

    /// The broadcast that waits.
    pub fn waiting(&self) -> Option<BroadcastId> {
        self.waiting.borrow().as_ref().map(|waiting| waiting.facts.broadcast)
    }

    /// How long the log must be still before something is done about it.
    fn needed(&self, waiting: &Waiting) -> Duration {
        if waiting.told { self.length } else { STILL.min(self.length) }
    }

    /// Changes what waits, if it is still this.
    fn change(&self, waiting: &Waiting, new: Option<Waiting>) {
        self.waiting.send_if_modified(|now| {
            let same = now.as_ref().is_some_and(|now| now.facts.nonce == waiting.facts.nonce);
            if same {
                *now = new;
            }
            same
        });
    }
}

/// Ends what has waited too long, until `stop`.
pub(crate) async fn run(stream: Arc<Stream>, stop: CancellationToken) {
    let mut changes = stream.window.waiting.subscribe();
    loop {
        let waiting = changes.borrow_and_update().clone();
        tokio::select! {
            () = stop.cancelled() => return,
            gone = changes.changed() => if gone.is_err() { return },
            (waiting, end) = still(&stream, waiting) => act(&stream, waiting, end).await,
        }
    }
}

/// Resolves when the log has been still long enough, and says where it ends.
async fn still(stream: &Stream, waiting: Option<Waiting>) -> (Waiting, i64) {
    let Some(mut waiting) = waiting else { return std::future::pending().await };
    let needed = stream.window.needed(&waiting);
    let mut end = None;
    loop {
        let now = stream.log.end_offset().await.ok();
        if now.is_none() || end != now {
            // Of a log that can't be asked nobody knows.
            waiting.since = Instant::now();
            // What was written may be its end.
            let _opening = stream.log.opening().await;
            if let Ok(at) = stream.log.catch_up().await
                && stream.log.control().open().is_none()
            {
                return (waiting, at);
            }
        }
        match now {
            Some(at) if end == now && waiting.since.elapsed() >= needed => return (waiting, at),
            _ => end = now,
        }
        sleep(LOOK.min(needed / 4)).await;
    }
}

/// The log was still: tells so, or ends the broadcast.
async fn act(stream: &Stream, waiting: Waiting, end: i64) {
    let window = &stream.window;
    // An open that is under way comes first or sees the end.
    let _opening = stream.log.opening().await;
    if stream.log.catch_up().await.ok() != Some(end) {
        let again = Waiting { since: Instant::now(), ..waiting.clone() };
        return window.change(&waiting, Some(again));
    }
    let control = stream.log.control();
    match (control.epoch(), control.open()) {
        (_, Some(open)) if open.nonce == waiting.facts.nonce => {
            if waiting.told {
                let broadcast = open.broadcast;
                info!(%broadcast, "no publisher came back within the window");
                stream.end(waiting.epoch, &waiting.facts, EndReason::ReconnectWindow);
                window.change(&waiting, None);
            } else {
                stream.rows.interrupted(waiting.epoch, &waiting.facts);
                window.change(&waiting, Some(Waiting { told: true, ..waiting.clone() }));
            }
        }
        // Another process's publisher came, and may be lost by now.
        (Some(epoch), Some(open)) if !stream.seat.is_taken() => {
            stream.rows.pending(epoch, open, control.pictured());
            window.arm_untold(epoch, open);
        }
        (_, Some(_)) => {}
        (_, None) => {
            if let Some(closed) = stream.log.closed(waiting.facts.broadcast) {
                info!(broadcast = %closed.facts.broadcast, reason = ?closed.reason, "ended by another");
                stream.rows.closed(&closed);
            }
            window.change(&waiting, None);
        }
    }
}
