//! The stream this process serves: everything its connections share, and the
//! way from a publish key to an accepted publisher.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_media::id::{Epoch, KeyId, PublishKey};
use millrace_media::record::{EndReason, Open};
use millrace_media::rtmp::StreamName;
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::StreamSettings;
use crate::keys::{Admission, Keys};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::seat::Seat;
use crate::window::Window;

/// How long a publisher that is replaced may take to leave.
const LEAVE: Duration = Duration::from_secs(5);
/// How long the log may take to open an epoch. Encoders wait about as long.
const OPEN: Duration = Duration::from_secs(10);

/// What the connections of one stream share.
#[derive(Debug)]
pub struct Stream {
    /// Its settings.
    pub settings: StreamSettings,
    /// The clock of every wait.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Who publishes.
    pub seat: Arc<Seat>,
    /// Who may.
    pub keys: Keys,
    /// Where it goes.
    pub log: Arc<Log>,
    /// How long a broadcast waits for its publisher.
    pub window: Window,
    /// Its broadcasts in Postgres.
    pub rows: Rows,
    /// An epoch was opened since the process began.
    pub opened: AtomicBool,
}

impl Stream {
    /// Checks the key that a publishing name is.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub(crate) async fn check(
        &self,
        name: &StreamName,
        peer: SocketAddr,
    ) -> Result<(KeyId, Admission), Refusal> {
        let key: PublishKey = name.reveal().parse().map_err(|_| {
            self.keys.note_malformed(peer.ip());
            Refusal::WrongKey
        })?;
        let admission = self.keys.check(&key, peer.ip()).await?;
        Ok((key.id().clone(), admission))
    }

    /// Turns a good key into an accepted publisher.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        key: &KeyId,
        admission: Admission,
        peer: SocketAddr,
    ) -> Result<Publisher, Refusal> {
        let seated = self.seat.take(self.clock.now(), LEAVE).await?;
        info!(%peer, %key, "admitted");
        let opened = self.open(key).await?;
        self.window.disarm();
        Ok(Publisher::new(Arc::clone(self), seated, admission, opened))
    }

    /// Opens an epoch. What is on its way to the log can't be called back, so
    /// an opening that takes too long goes on without its publisher, and then
    /// waits for another one.
    async fn open(self: &Arc<Self>, key_id: &KeyId) -> Result<(Epoch, Open), Refusal> {
        let deadline = tokio::time::Instant::now() + OPEN;
        let late = |_| {
            warn!("no epoch could be opened within {} s", OPEN.as_secs());
            Refusal::LogUnavailable
        };
        let turn = timeout_at(deadline, self.log.opening()).await.map_err(late)?;
        let (answer, opened) = oneshot::channel();
        let (stream, key_id) = (Arc::clone(self), key_id.clone());
        tokio::spawn(async move {
            let waited = stream.window.waiting();
            let opened = stream.log.open(&turn, &key_id).await;
            // It may have been ended by another while it waited.
            if let Some(closed) = waited.and_then(|broadcast| stream.log.closed(broadcast)) {
                stream.rows.closed(&closed);
            }
            if let Ok((epoch, facts)) = &opened {
                stream.opened.store(true, Ordering::Relaxed);
                stream.rows.pending(*epoch, facts, stream.log.control().pictured());
            }
            if let Err(Ok((epoch, facts))) = answer.send(opened) {
                stream.window.arm(epoch, &facts);
            }
        });
        match timeout_at(deadline, opened).await.map_err(late)? {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => {
                warn!("no epoch could be opened: {error}");
                Err(Refusal::LogUnavailable)
            }
            Err(_) => Err(Refusal::LogUnavailable),
        }
    }

    /// The log was read at start: a broadcast that is open there and was opened
    /// by another process waits for its publisher, and what happened before may
    /// be in no row: the process that knew may have died with it.
    pub(crate) async fn resume(&self) {
        let _turn = self.log.opening().await;
        let control = self.log.control();
        if let Some(closed) = control.closed() {
            self.rows.closed(closed);
        }
        if let (Some(epoch), Some(facts)) = (control.epoch(), control.open())
            && !self.opened.load(Ordering::Relaxed)
        {
            info!(%epoch, broadcast = %facts.broadcast, "an open broadcast waits for its publisher");
            self.rows.pending(epoch, facts, control.pictured());
            self.window.arm_untold(epoch, facts);
        }
    }

    /// A broadcast is over.
    pub(crate) fn end(&self, epoch: Epoch, facts: &Open, reason: EndReason) {
        self.log.end(epoch, facts.broadcast, reason);
        self.rows.ended(epoch, facts, reason);
    }
}
