//! The reconnect window: a broadcast without a publisher ends after it.

use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::Epoch;
use millrace_media::record::{EndReason, Open};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::stream::Stream;

#[derive(Debug, Clone)]
struct Waiting {
    epoch: Epoch,
    facts: Open,
    until: Instant,
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
        let until = Instant::now() + self.length;
        self.waiting.send_replace(Some(Waiting { epoch, facts: facts.clone(), until }));
    }

    /// A publisher is here.
    pub fn disarm(&self) {
        self.waiting.send_replace(None);
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
            waiting = elapsed(waiting) => {
                // An open that is under way comes first or sees the end.
                let _opening = stream.log.opening().await;
                let still = stream.log.control().open().map(|open| open.nonce);
                if still == Some(waiting.facts.nonce) {
                    let broadcast = waiting.facts.broadcast;
                    info!(%broadcast, "no publisher came back within the window");
                    stream.end(waiting.epoch, &waiting.facts, EndReason::ReconnectWindow);
                }
                stream.window.waiting.send_if_modified(|now| {
                    now.take_if(|now| now.facts.nonce == waiting.facts.nonce).is_some()
                });
            }
        }
    }
}

async fn elapsed(waiting: Option<Waiting>) -> Waiting {
    match waiting {
        Some(waiting) => {
            sleep_until(waiting.until).await;
            waiting
        }
        None => std::future::pending().await,
    }
}
