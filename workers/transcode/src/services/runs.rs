//! Claiming runs, and what this process knows of its broadcasts.
//!
//! The object store alone arbitrates: a run is ours when we have created the
//! object that claims it. So that nothing live waits for the store, some runs
//! are claimed ahead ([`Spares`]). Redis is told which run writes, and refuses
//! lower ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Run};
use millrace_media::index::Head;
use millrace_platform::names::objects::{BroadcastObjects, run_of};
use millrace_platform::redis::media::{Lease, MediaWriter};
use millrace_platform::report::report;
use millrace_platform::store::{Created, Store, StoreError};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::spares::Spares;
use super::{PublishError, Services};
use crate::publish::redis::live_backoff;

/// How long anything live waits for the store.
const SOON: Duration = Duration::from_secs(1);
/// Tries to claim a run that is needed now, each twice as patient as the one
/// before.
const TRIES: u32 = 4;
/// Broadcasts that something is known of: the one that is on, and those that
/// are over and not told or stored to their end.
const BROADCASTS: usize = 4;

/// What this process knows of its runs and its index.
#[derive(Debug, Default)]
pub(super) struct Runs {
    state: Mutex<State>,
    spares: Arc<Mutex<Spares>>,
}

#[derive(Debug, Default)]
struct State {
    /// Claims runs ahead.
    refilling: JoinSet<()>,
    /// The one that was touched last is last.
    broadcasts: Vec<Known>,
    /// The broadcast in whose middle the checkpoint is.
    checkpointed: Option<BroadcastId>,
    /// Redis has given us its lease.
    held: bool,
}

/// What is known of one broadcast.
#[derive(Debug)]
struct Known {
    broadcast: BroadcastId,
    /// Writes with the highest run that was ever used.
    writer: Option<MediaWriter>,
    /// The index as it was written last, or would have been.
    head: Option<Head>,
    /// It is over, and a task of this process brings the rest of it away.
    left: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn of(&self, broadcast: BroadcastId) -> Option<&Known> {
        self.broadcasts.iter().find(|known| known.broadcast == broadcast)
    }

    /// Changes what is known of a broadcast; what was touched longest ago gives
    /// way, unless its rest is to be brought away.
    fn touch(&mut self, broadcast: BroadcastId, change: impl FnOnce(&mut Known)) {
        let at = self.broadcasts.iter().position(|known| known.broadcast == broadcast);
        let unknown = || Known { broadcast, writer: None, head: None, left: false };
        let mut known = at.map_or_else(unknown, |at| self.broadcasts.remove(at));
        change(&mut known);
        if self.broadcasts.len() >= BROADCASTS
            && let Some(oldest) = self.broadcasts.iter().position(|known| !known.left)
        {
            self.broadcasts.remove(oldest);
        }
        self.broadcasts.push(known);
    }
}

impl Runs {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Keeps a broadcast's index.
    pub(super) fn keep(&self, head: &Head) {
        self.state().touch(head.info.broadcast, |known| known.head = Some(head.clone()));
    }

    /// The index of this broadcast as this process wrote it last.
    pub(super) fn kept(&self, broadcast: BroadcastId) -> Option<Head> {
        self.state().of(broadcast)?.head.clone()
    }

    /// The checkpoint is in the middle of this broadcast.
    pub(super) fn checkpointed(&self, broadcast: Option<BroadcastId>) {
        self.state().checkpointed = broadcast;
    }

    /// Whether something of it was durable at the last checkpoint.
    pub(super) fn is_checkpointed(&self, broadcast: BroadcastId) -> bool {
        self.state().checkpointed == Some(broadcast)
    }

    /// What writes a broadcast, with the highest run that was ever used.
    pub(super) fn writer(&self, broadcast: BroadcastId) -> Option<MediaWriter> {
        self.state().of(broadcast)?.writer.clone()
    }

    fn used(&self, broadcast: BroadcastId) -> Option<Run> {
        self.writer(broadcast).map(|writer| writer.lease().run)
    }

    /// Whether Redis ever gave this process the lease.
    pub(super) fn has_held(&self) -> bool {
        self.state().held
    }

    /// No run is claimed ahead any more.
    pub(super) fn forget_spares(&self) {
        self.state().refilling.abort_all();
        lock(&self.spares).clear();
    }

    fn take_spare(&self, broadcast: BroadcastId) -> Option<Run> {
        let used = self.used(broadcast);
        lock(&self.spares).take(broadcast, used)
    }
}

impl Services {
    /// Claims the next run: in the object store, which decides, then in Redis,
    /// which may be away or work on a later broadcast. The only door to a run.
    ///
    /// # Errors
    /// When another writer has the stream, or no run is claimed ahead and the
    /// store does not answer for some seconds.
    pub async fn claim_run(&self, broadcast: BroadcastId) -> Result<Run, PublishError> {
        let run = match self.runs.take_spare(broadcast) {
            Some(run) => run,
            None => self.claim_in_store(broadcast).await?,
        };
        self.hold(broadcast, run).await
    }

    /// Writes with a run that is ours in the store, tries to take the lease for
    /// it, and claims some ahead.
    pub(super) async fn hold(&self, broadcast: BroadcastId, run: Run) -> Result<Run, PublishError> {
        let lease = Lease { broadcast, run, token: self.token };
        let config = &self.config;
        let writer =
            MediaWriter::new(self.redis.clone(), &config.installation, &config.stream, lease);
        self.runs.state().touch(broadcast, |known| known.writer = Some(writer));
        match self.reclaim(broadcast).await {
            Ok(()) => {}
            Err(error @ PublishError::Fenced { .. }) => {
                self.runs.forget_spares();
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%broadcast, %run, error = report(&error), "Redis is not told of the run");
            }
        }
        self.refill(broadcast, run);
        Ok(run)
    }

    /// Takes the lease, or takes it again after Redis has lost it.
    pub async fn reclaim(&self, broadcast: BroadcastId) -> Result<(), PublishError> {
        let claimed = self.writer(broadcast)?.claim().await;
        self.heard(broadcast, claimed)?;
        self.runs.state().held = true;
        Ok(())
    }

    /// A task of this process brings away the rest of this broadcast, which is
    /// over.
    pub fn leave(&self, broadcast: BroadcastId) {
        self.runs.state().touch(broadcast, |known| known.left = true);
    }

    /// That is done, or given up.
    pub fn bring_away(&self, broadcast: BroadcastId) {
        self.runs.state().touch(broadcast, |known| known.left = false);
    }

    /// Whether the rest of an earlier broadcast is not brought away yet.
    pub fn owes_before(&self, broadcast: BroadcastId) -> bool {
        let state = self.runs.state();
        state.broadcasts.iter().any(|known| known.left && known.broadcast < broadcast)
    }

    /// Whether [`Services::leave`] was told of it.
    pub fn is_left(&self, broadcast: BroadcastId) -> bool {
        self.runs.state().of(broadcast).is_some_and(|known| known.left)
    }

    /// Whether this process writes a later broadcast by now.
    pub fn is_followed(&self, broadcast: BroadcastId) -> bool {
        let state = self.runs.state();
        state.broadcasts.iter().any(|known| known.broadcast > broadcast && known.writer.is_some())
    }

    /// Waits no longer for the store than what is live can.
    pub(crate) async fn soon<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        self.within(SOON, what, work).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        work: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        let late = |_| {
            let (what, url) = (what.to_owned(), self.store.url().to_owned());
            Err(StoreError::Late { what, url, seconds: limit.as_secs() }.into())
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }

    /// Claims a run that is needed now. The log is not read meanwhile.
    async fn claim_in_store(&self, broadcast: BroadcastId) -> Result<Run, PublishError> {
        self.runs.forget_spares();
        let (objects, above) = (self.objects(broadcast), self.runs.used(broadcast));
        let mut backoff = live_backoff();
        let mut patience = SOON;
        loop {
            let claim = async {
                Ok(claim_above(&self.store, &objects, self.token, above.unwrap_or_default())
                    .await?)
            };
            let claimed = self.within(patience, "claim a run", claim).await;
            self.note_store(&claimed);
            match claimed {
                Err(error) if backoff.attempts().saturating_add(1) < TRIES => {
                    let wait = backoff.next_delay();
                    tracing::warn!(error = report(&error), ?wait, "the store gives no run yet");
                    tokio::time::sleep(wait).await;
                }
                claimed => return claimed,
            }
            patience = patience.saturating_mul(2);
        }
    }

    /// Claims runs right above this one for when they are needed, one after the
    /// other, in the background; a store that is away is asked until it is back.
    fn refill(&self, broadcast: BroadcastId, used: Run) {
        let spares = self.runs.spares.clone();
        let mut last = lock(&spares).keep(broadcast, used);
        let (store, objects, owner) = (self.store.clone(), self.objects(broadcast), self.token);
        let refilling = &mut self.runs.state().refilling;
        refilling.abort_all();
        while refilling.try_join_next().is_some() {}
        refilling.spawn(async move {
            let mut backoff = live_backoff();
            while lock(&spares).lack(broadcast) {
                let next = last.next();
                match claim(&store, &objects.run(next), owner).await {
                    Ok(true) => {
                        lock(&spares).add(broadcast, next);
                        last = next;
                        backoff.reset();
                    }
                    Ok(false) => {
                        tracing::info!(run = %next, "another process has claimed the next run");
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(error = report(&error), "no spare run yet");
                        backoff.wait().await;
                    }
                }
            }
        });
    }
}

/// Claims this run, if nobody else has.
pub(super) async fn claim(store: &Store, path: &str, owner: Uuid) -> Result<bool, StoreError> {
    let token = Bytes::from(owner.to_string());
    Ok(store.create(path, token.clone()).await? == Created::Created
        // A request that was sent again may have been its own rival.
        || store.get(path).await? == Some(token))
}

/// Claims a run above this one and above all that are claimed.
async fn claim_above(
    store: &Store,
    objects: &BroadcastObjects,
    owner: Uuid,
    above: Run,
) -> Result<Run, StoreError> {
    let claims = store.list(&objects.runs()).await?;
    let last = claims.iter().filter_map(|path| run_of(path)).max().unwrap_or_default();
    let mut run = last.max(above).next();
    while !claim(store, &objects.run(run), owner).await? {
        run = run.next();
    }
    Ok(run)
}
