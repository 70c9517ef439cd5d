//! All clients of this replica, and the feeds of their streams.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use millrace_media::id::StreamId;
use millrace_platform::breaker::Breaker;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::channel::{Channel, Listener};
use super::client::{self, Ends, Pace};
use super::feed::{Feed, Sources};
use super::seats::{Bounds, Full, Seat, Seats};
use crate::live::streams::Streams;
use crate::metrics::{ClosedLabels, Metrics};
use crate::origin::Origin;

/// So many failures in a row, and figures are not asked for a while.
const FAILURES: u32 = 3;
/// How long.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// All clients have heard of a shutdown, or had their time to.
const DRAIN: Duration = Duration::from_secs(5);

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub struct Sockets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seats: Seats,
    open: Mutex<HashMap<StreamId, Open>>,
    sources: Sources,
    pace: Pace,
    metrics: Metrics,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// A stream that has clients.
#[derive(Debug)]
struct Open {
    channel: Arc<Channel>,
    clients: usize,
    _feed: AbortOnDropHandle<()>,
}

/// A client that may listen, before it does.
#[derive(Debug)]
pub struct Admitted {
    _seat: Seat,
    _tracked: TaskTrackerToken,
}

impl Sockets {
    /// Nobody listens yet. Clients are told to go with `shutdown`.
    pub fn new(
        bounds: Bounds,
        pace: Pace,
        streams: Streams,
        origin: &Origin,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        let breaker = Breaker::new(FAILURES, COOL_DOWN).observed(&metrics.breakers, "sockets");
        let breaker = Arc::new(breaker);
        Self(Arc::new(Inner {
            seats: Seats::new(bounds),
            open: Mutex::default(),
            sources: Sources { streams, figures: origin.metrics.clone(), breaker },
            pace,
            metrics,
            tasks: TaskTracker::new(),
            shutdown,
        }))
    }

    /// Whether one more client may listen, from `address` as one is counted.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<Admitted, Full> {
        let seat = self.0.seats.take(address)?;
        Ok(Admitted { _seat: seat, _tracked: self.0.tasks.token() })
    }

    /// Serves a client until it leaves, is dropped, or may not listen any more
    /// (`lapse`).
    pub async fn serve(
        self,
        stream: StreamId,
        admitted: Admitted,
        socket: WebSocket,
        lapse: CancellationToken,
    ) {
        let (joined, listener) = self.join(stream);
        let inner = &joined.inner;
        let ends = Ends { shutdown: inner.shutdown.clone(), lapse };
        let sent = inner.metrics.socket_messages.clone();
        let reason = client::serve(socket, listener, inner.pace, ends, sent).await;
        inner.metrics.sockets_closed.get_or_create(&ClosedLabels { reason }).inc();
        drop((joined, admitted));
    }

    /// One more client of the stream; the first begins its feed.
    fn join(self, stream: StreamId) -> (Joined, Listener) {
        let inner = self.0;
        let mut streams = inner.lock();
        let open = streams.entry(stream.clone()).or_insert_with(|| {
            let channel = Arc::new(Channel::new());
            let feed = Feed::new(stream.clone(), inner.sources.clone(), Arc::clone(&channel));
            let feed = AbortOnDropHandle::new(tokio::spawn(feed.run()));
            Open { channel, clients: 0, _feed: feed }
        });
        open.clients += 1;
        let listener = open.channel.listen();
        drop(streams);
        inner.metrics.sockets.inc();
        (Joined { inner, stream }, listener)
    }

    /// Waits until all clients went; they are told to with the shutdown.
    pub async fn drain(&self) {
        self.0.tasks.close();
        if tokio::time::timeout(DRAIN, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("WebSockets were still open at the end of the drain time");
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client among those of its stream; dropped, the last one ends the feed.
struct Joined {
    inner: Arc<Inner>,
    stream: StreamId,
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.inner.metrics.sockets.dec();
        let mut streams = self.inner.lock();
        if let Some(open) = streams.get_mut(&self.stream) {
            open.clients -= 1;
            if open.clients == 0 {
                streams.remove(&self.stream);
            }
        }
    }
}
