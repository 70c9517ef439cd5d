//! Who writes, when two may: asked where the writer's claims are.

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Run};
use millrace_media::published::{BroadcastInfo, Entry};
use millrace_platform::names::objects::run_of;
use millrace_platform::redis::RedisError;
use millrace_platform::report::report;

use super::runs::claim;
use super::{PublishError, Services};

/// Who begins with a broadcast, or goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// This process: it has claimed the first run.
    Ours(Run),
    /// This process claimed the highest run, and goes on with another.
    OursAgain,
    /// Another.
    Theirs,
}

/// What Redis says of a broadcast at one moment.
#[derive(Debug, Clone)]
pub struct Glance {
    /// The run that holds the lease.
    pub run: Option<Run>,
    /// The broadcast's description.
    pub info: BroadcastInfo,
    /// The last entry of each of its renditions, in their order.
    pub newest: Vec<Option<Entry>>,
}

impl Services {
    /// Claims the first run of a broadcast that has none: who creates it first
    /// is the writer. Where the store does not answer, who holds the lease is.
    ///
    /// # Errors
    /// When nobody can say who writes.
    pub async fn begin(&self, broadcast: BroadcastId) -> Result<Begun, PublishError> {
        match self.soon("see who writes", self.begin_in_store(broadcast)).await {
            Ok(Begun::Ours(run)) => Ok(Begun::Ours(self.hold(broadcast, run).await?)),
            Err(PublishError::Store(error)) => {
                if !self.holds_lease(broadcast).await? {
                    return Err(error.into());
                }
                tracing::warn!(error = report(&error), "still the writer, as Redis says");
                Ok(Begun::OursAgain)
            }
            other => other,
        }
    }

    /// Whether this process holds the lease of a broadcast.
    pub(super) async fn holds_lease(&self, broadcast: BroadcastId) -> Result<bool, RedisError> {
        let holder = self.reader.holder(&self.config.stream).await?;
        Ok(holder.is_some_and(|by| {
            by.broadcast == broadcast.to_string() && by.token == Some(self.token)
        }))
    }

    async fn begin_in_store(&self, broadcast: BroadcastId) -> Result<Begun, PublishError> {
        let objects = self.objects(broadcast);
        let token = Bytes::from(self.token.to_string());
        let claims = self.store.list(&objects.runs()).await?;
        let highest = claims.into_iter().max_by_key(|path| run_of(path));
        if let Some(highest) = highest {
            let ours = self.store.get(&highest).await? == Some(token);
            return Ok(if ours { Begun::OursAgain } else { Begun::Theirs });
        }
        let first = Run::default().next();
        let ours = claim(&self.store, &objects.run(first), self.token).await?;
        Ok(if ours { Begun::Ours(first) } else { Begun::Theirs })
    }

    /// Takes a broadcast from whoever writes it: from now on nobody else can
    /// publish more of it. What is published is to be read after this.
    ///
    /// # Errors
    /// Also when Redis did not take the lease: without it nobody is fenced. One
    /// that is at a later broadcast takes no more of this one from anybody.
    pub async fn take_over(&self, broadcast: BroadcastId) -> Result<Run, PublishError> {
        // One that was claimed ahead, in an earlier turn, may be below the writer's.
        self.runs.forget_spares();
        let run = self.claim_run(broadcast).await?;
        match self.reclaim(broadcast).await {
            Ok(()) | Err(PublishError::Superseded { .. }) => Ok(run),
            Err(error) => Err(error),
        }
    }

    /// Looks what is published of a broadcast; `None` if Redis has nothing of it.
    pub async fn glance(&self, broadcast: BroadcastId) -> Result<Option<Glance>, RedisError> {
        let stream = &self.config.stream;
        let described = self.reader.get_broadcast(stream).await?;
        let Some(info) = described.filter(|info| info.broadcast == broadcast) else {
            return Ok(None);
        };
        let names: Vec<_> = info.renditions.iter().map(|r| r.name.clone()).collect();
        let (holder, newest) = tokio::try_join!(
            self.reader.holder(stream),
            self.reader.newest(stream, broadcast, &names)
        )?;
        let run = holder.filter(|h| h.broadcast == broadcast.to_string()).map(|h| h.run);
        Ok(Some(Glance { run, info, newest }))
    }

    /// Whether the end of a broadcast is in the object store, with all before it.
    pub async fn is_stored_to_its_end(&self, broadcast: BroadcastId) -> Result<bool, PublishError> {
        Ok(self.head(broadcast).await?.is_some_and(|head| head.info.ended))
    }
}
