//! The end of a broadcast: viewers are told, what is left is stored, then the
//! checkpoint moves.

use std::time::Duration;

use futures::future::BoxFuture;
use millrace_media::id::{Msn, RenditionName};
use millrace_media::timeline::Snapshot;
use millrace_platform::report::report;
use tokio::sync::oneshot;

use super::{Outlet, lock};
use crate::publish::archive::{Ending, Note};
use crate::publish::redis;
use crate::services::PublishError;
use crate::session::SessionError;

/// How long the log waits, at the end of a broadcast, for Redis to take it.
const END_LIMIT: Duration = Duration::from_secs(3);
/// How often the lanes are looked at while they drain.
const LOOK: Duration = Duration::from_millis(20);

/// What is still to be stored of a broadcast that is over.
pub type Leftover = BoxFuture<'static, ()>;

impl Outlet {
    /// The broadcast is over: gets everything out to viewers. The future that
    /// is left tells Redis, should it not have taken the end soon, and meanwhile
    /// waits for the object store, then commits `offset`: the index says that it
    /// is over, so nothing waits for Redis.
    ///
    /// # Errors
    /// When another writer has the stream.
    pub(in crate::session) async fn end(
        self,
        offset: i64,
        snapshot: Option<Snapshot>,
    ) -> Result<Leftover, SessionError> {
        let ends: Vec<_> = self
            .renditions()
            .map(|rendition| {
                let mut rendition = lock(rendition);
                rendition.end_base(u32::MAX);
                (rendition.name().clone(), rendition.next_msn())
            })
            .collect();
        for (redis, store) in &self.lanes {
            redis.close();
            store.close();
        }
        let told = match tokio::time::timeout(END_LIMIT, self.tell(&ends)).await {
            Ok(told) => told.map(|()| true)?,
            Err(_) => false,
        };
        self.services.leave(self.info.broadcast);
        Ok(Box::pin(async move {
            let redis = async {
                if !told {
                    self.tell_late(&ends).await;
                }
            };
            tokio::join!(redis, self.store_rest(offset, snapshot));
        }))
    }

    /// Waits until the object store has everything, then commits.
    async fn store_rest(&self, offset: i64, snapshot: Option<Snapshot>) {
        while self.lanes.iter().any(|(_, store)| store.depth().0 > 0) {
            tokio::time::sleep(LOOK).await;
        }
        let (done, finished) = oneshot::channel();
        self.note(Note::End(Ending { offset, snapshot: snapshot.map(Box::new), done })).await;
        let _ = finished.await;
        self.services.bring_away(self.info.broadcast);
    }

    /// Waits until Redis has everything, then tells it that this is all. Once a
    /// later broadcast is written, what is left is of no use to viewers.
    async fn tell(&self, ends: &[(RenditionName, Msn)]) -> Result<(), SessionError> {
        let broadcast = self.info.broadcast;
        while self.lanes.iter().any(|(redis, _)| redis.depth().0 > 0) {
            if self.services.is_followed(broadcast) {
                tracing::warn!(%broadcast, "the next broadcast tells viewers of the end");
                return Ok(());
            }
            self.check()?;
            tokio::time::sleep(LOOK).await;
        }
        self.publish_end(ends).await
    }

    /// The same with a Redis that is away, until it is back.
    async fn tell_late(&self, ends: &[(RenditionName, Msn)]) {
        let broadcast = self.info.broadcast;
        // Of what was never described nobody knows.
        if self.announced.get().is_none() {
            return;
        }
        tracing::warn!(%broadcast, "Redis is told of the end when it is back");
        if let Err(error) = self.tell(ends).await {
            tracing::error!(%broadcast, error = report(&error), "the end is not told");
        }
    }

    /// Tells Redis that all is out; tries until it is told, a later broadcast has
    /// taken this one's place, or another writer has the stream.
    async fn publish_end(&self, ends: &[(RenditionName, Msn)]) -> Result<(), SessionError> {
        let Some(info) = self.announced.get() else { return Ok(()) };
        let broadcast = self.info.broadcast;
        let mut backoff = redis::live_backoff();
        loop {
            let error = match self.services.publish_end(info, ends).await {
                Ok(()) => {
                    tracing::info!(%broadcast, "Redis was told of the end");
                    return Ok(());
                }
                // Not before: the lease is the later one's.
                Err(PublishError::LeaseLost) if !self.services.is_followed(broadcast) => {
                    match self.services.reclaim(broadcast).await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match error {
                PublishError::Fenced { .. } => return Err(error.into()),
                PublishError::Superseded { .. } | PublishError::NoRun => return Ok(()),
                _ if self.services.is_followed(broadcast) => {
                    tracing::warn!(%broadcast, error = report(&error), "the next broadcast tells viewers of the end");
                    return Ok(());
                }
                _ => {}
            }
            let wait = backoff.next_delay();
            tracing::warn!(error = report(&error), ?wait, "the end is not told yet");
            tokio::time::sleep(wait).await;
        }
    }
}
