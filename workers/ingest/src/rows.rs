//! The stream's broadcasts in Postgres and the events of their lives, which
//! follow the log whenever Postgres can take them. Video never waits for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::id::{BroadcastId, Epoch, StreamId};
use millrace_media::record::{EndReason, Open};
use millrace_platform::backoff::Backoff;
use millrace_platform::log::Closed;
use millrace_platform::postgres::broadcasts::{Broadcasts, NO_MEDIA, Opened};
use millrace_platform::postgres::{Database, DatabaseError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use millrace_platform::report::report;
use millrace_platform::wall;

/// Changes held while Postgres is away; the oldest go first.
const MAX_WAITING: usize = 1_024;
/// How long a stopping process tries to write what is left.
const FAREWELL: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy)]
enum State {
    Pending,
    Active,
    Interrupted,
    Ended(EndReason),
    /// It ended before anything came.
    Silent,
}

#[derive(Debug, Clone)]
struct Change {
    opened: Opened,
    state: State,
    at_ms: i64,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Change>,
    /// The last broadcast that is known to have had a picture.
    pictured: Option<BroadcastId>,
}

/// What is still to be written, in order.
#[derive(Debug)]
pub struct Rows {
    stream: StreamId,
    database: Database,
    table: Broadcasts,
    waiting: Mutex<Waiting>,
    more: Notify,
}

impl Rows {
    /// For the broadcasts of this stream.
    pub fn new(stream: StreamId, database: Database, table: Broadcasts) -> Self {
        Self { stream, database, table, waiting: Mutex::default(), more: Notify::new() }
    }

    /// A publisher was accepted; `pictured` if the log has a picture of the
    /// broadcast already.
    pub fn pending(&self, epoch: Epoch, facts: &Open, pictured: bool) {
        if pictured {
            self.lock().pictured = Some(facts.broadcast);
        }
        self.push(epoch, facts, State::Pending);
    }

    /// Its first picture is in the log.
    pub fn active(&self, epoch: Epoch, facts: &Open) {
        self.lock().pictured = Some(facts.broadcast);
        self.push(epoch, facts, State::Active);
    }

    /// Its publisher was lost and may come back.
    pub fn interrupted(&self, epoch: Epoch, facts: &Open) {
        self.push(epoch, facts, State::Interrupted);
    }

    /// The broadcast is over.
    pub fn ended(&self, epoch: Epoch, facts: &Open, reason: EndReason) {
        let pictured = self.lock().pictured == Some(facts.broadcast);
        self.push(epoch, facts, if pictured { State::Ended(reason) } else { State::Silent });
    }

    /// The log says that a broadcast is over.
    pub fn closed(&self, closed: &Closed) {
        let Closed { epoch, facts, reason, at_ms, pictured } = closed;
        let state = if *pictured { State::Ended(*reason) } else { State::Silent };
        self.push_at(*epoch, facts, state, *at_ms);
    }

    fn push(&self, epoch: Epoch, facts: &Open, state: State) {
        self.push_at(epoch, facts, state, wall::ms());
    }

    fn push_at(&self, epoch: Epoch, facts: &Open, state: State, at_ms: i64) {
        let opened = Opened {
            broadcast: facts.broadcast,
            stream: self.stream.clone(),
            epoch,
            key_id: facts.key_id.clone(),
            started_ms: facts.started_ms,
        };
        let mut waiting = self.lock();
        if waiting.changes.len() >= MAX_WAITING {
            // Not the first: it may be being written.
            waiting.changes.remove(1);
        }
        waiting.changes.push_back(Change { opened, state, at_ms });
        drop(waiting);
        self.more.notify_one();
    }

    /// Writes what comes until `stop`, and then for a moment what is left.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        loop {
            let next = async {
                self.drain().await;
                self.more.notified().await;
            };
            tokio::select! {
                () = next => {}
                () = stop.cancelled() => {
                    if tokio::time::timeout(FAREWELL, self.drain()).await.is_err() {
                        warn!("Postgres did not take the last changes of the broadcasts");
                    }
                    return;
                }
            }
        }
    }

    /// Writes all that waits. A change leaves the queue once it is written, so
    /// stopping in between loses none.
    async fn drain(&self) {
        loop {
            let next = self.lock().changes.front().cloned();
            let Some(change) = next else { return };
            self.write(&change).await;
            self.lock().changes.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries until Postgres has taken or refused it.
    async fn write(&self, change: &Change) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
        loop {
            match self.try_write(change).await {
                Ok(()) => return,
                Err(error @ DatabaseError::InvalidTransition { .. }) => {
                    debug!("{error}");
                    return;
                }
                Err(error @ (DatabaseError::Invalid { .. } | DatabaseError::Conflict { .. })) => {
                    error!("a broadcast's row is given up: {}", report(&error));
                    return;
                }
                Err(error) => {
                    if backoff.attempts() == 0 {
                        warn!("a broadcast's row waits: {}", report(&error));
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    /// The row may be missing, whoever should have written it: so each change
    /// says everything.
    async fn try_write(&self, change: &Change) -> Result<(), DatabaseError> {
        let Change { opened, state, at_ms } = change;
        let (broadcast, epoch, at_ms) = (opened.broadcast, opened.epoch, *at_ms);
        let (table, mut transaction) = (&self.table, self.database.begin().await?);
        let through = &mut transaction;
        table.open(through, opened).await?;
        match *state {
            State::Pending => {}
            State::Active => table.activate(through, broadcast, epoch, at_ms).await?,
            State::Interrupted => table.interrupt(through, broadcast, epoch, at_ms).await?,
            State::Ended(reason) => table.end(through, broadcast, reason, at_ms).await?,
            State::Silent => table.fail(through, broadcast, NO_MEDIA, at_ms).await?,
        }
        transaction.commit().await
    }
}
