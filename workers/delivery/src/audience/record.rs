//! Viewers' sessions on their way to Postgres: the newest of each waits here,
//! and is written with its events in batches. While Postgres is away they are
//! kept, bounded; what had no place is counted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_media::id::StreamId;
use millrace_platform::backoff::Backoff;
use millrace_platform::postgres::outbox::Outbox;
use millrace_platform::postgres::sessions::{Session, SessionSource, Sessions};
use millrace_platform::postgres::{Database, DatabaseError};
use millrace_platform::report::report;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::{Builder, Uuid};

use super::entry::Known;
use super::told::{self, Change};
use crate::metrics::Metrics;

/// Sessions that wait at most. Newer ones are lost.
const MAX_WAITING: usize = 100_000;
/// Changes of rungs that wait with a session at most. Newer ones are lost.
const MAX_CHANGES: usize = 32;
/// Sessions in one transaction.
const BATCH: usize = 500;
/// Sessions that are over and wait for their broadcast's row at most, how long
/// it is until they are written again, and how often that is done.
const MAX_LATE: usize = 10_000;
const LATER: Duration = Duration::from_secs(5);
const TRIES: u32 = 60;
/// How often it is looked what waits.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a stopping process tries to write what is left.
const FAREWELL: Duration = Duration::from_secs(4);

#[derive(Debug, Clone)]
struct Waiting {
    session: Session,
    changes: Vec<Change>,
    /// So often it was written without its broadcast since it was over.
    tries: u32,
}

/// What waits. Clones share it.
#[derive(Debug, Clone)]
pub struct Record {
    waiting: Arc<Mutex<HashMap<Uuid, Waiting>>>,
    late: Arc<Mutex<VecDeque<(Instant, Waiting)>>>,
    metrics: Metrics,
}

impl Record {
    /// Nothing waits yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { waiting: Arc::default(), late: Arc::default(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a viewer now.
    pub fn note(&self, stream: &StreamId, known: Known) {
        let at_ms = known.seen_ms;
        let visit = &known.visit;
        let change = match (&visit.rendition_before, &visit.rendition) {
            // A guess may stand for several, each on its own rung.
            (Some(from), Some(to)) if from != to && known.source != SessionSource::Guess => {
                Some(Change {
                    from: from.clone(),
                    to: to.clone(),
                    number: visit.rung_changes,
                    at_ms,
                })
            }
            _ => None,
        };
        let session = session(stream, known);
        let changes = change.into_iter().collect();
        if !insert(&mut self.lock(), Waiting { session, changes, tries: 0 }) {
            self.metrics.sessions_lost.inc();
        }
        self.show();
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.lock();
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        while late.front().is_some_and(|(since, _)| since.elapsed() >= LATER) {
            let Some((_, one)) = late.pop_front() else { break };
            // What came since is newer, and says the same.
            waiting.entry(one.session.id).or_insert(one);
        }
        drop(late);
        let some: Vec<Uuid> = waiting.keys().take(BATCH).copied().collect();
        some.iter().filter_map(|id| waiting.remove(id)).collect()
    }

    /// They are over and name no broadcast: they are written again later.
    fn keep_late(&self, batch: &[Waiting], unnamed: &[Uuid]) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        for Waiting { session, tries, .. } in batch {
            let is_over = session.left_ms.is_some() || *tries > 0;
            let wanted = is_over && unnamed.contains(&session.id);
            if wanted && *tries < TRIES && late.len() < MAX_LATE {
                // That it left is written and told, and may be true no more.
                let session = Session { left_ms: None, ..session.clone() };
                let again = Waiting { session, changes: Vec::new(), tries: tries + 1 };
                late.push_back((Instant::now(), again));
            }
        }
    }

    /// They were not written; what came meanwhile is newer.
    fn put_back(&self, batch: Vec<Waiting>) {
        let mut waiting = self.lock();
        for older in batch {
            let newer = waiting.remove(&older.session.id);
            if !insert(&mut waiting, older) {
                self.metrics.sessions_lost.inc();
            }
            if let Some(newer) = newer
                && !insert(&mut waiting, newer)
            {
                self.metrics.sessions_lost.inc();
            }
        }
    }

    fn show(&self) {
        let waiting = i64::try_from(self.lock().len()).unwrap_or(i64::MAX);
        self.metrics.sessions_waiting.set(waiting);
    }
}

/// Adds what is newer; false if there is no place for another session.
fn insert(waiting: &mut HashMap<Uuid, Waiting>, mut newer: Waiting) -> bool {
    let full = waiting.len() >= MAX_WAITING;
    match waiting.entry(newer.session.id) {
        Entry::Vacant(_) if full => return false,
        Entry::Vacant(place) => drop(place.insert(newer)),
        Entry::Occupied(mut place) => {
            let older = place.get_mut();
            let session = &mut newer.session;
            // Known by this replica alone, figures may be smaller.
            session.rung_changes = session.rung_changes.max(older.session.rung_changes);
            session.stalls = session.stalls.max(older.session.stalls);
            session.dropped_frames = session.dropped_frames.max(older.session.dropped_frames);
            session.watch_ms = session.watch_ms.max(older.session.watch_ms);
            older.session = newer.session;
            older.tries = older.tries.min(newer.tries);
            let room = MAX_CHANGES.saturating_sub(older.changes.len());
            older.changes.extend(newer.changes.into_iter().take(room));
        }
    }
    true
}

fn session(stream: &StreamId, known: Known) -> Session {
    let Known { viewer, source, left, seen_ms, watch_ms, visit } = known;
    let mut hash = Sha256::new();
    let (joined, broadcast) = (visit.joined_ms.to_string(), visit.broadcast.to_string());
    for word in [stream.as_str(), broadcast.as_str(), viewer.as_str(), &joined] {
        hash.update(word);
        hash.update([0]);
    }
    // The same at every replica, so that all write one row.
    let id = hash.finalize().first_chunk().copied().unwrap_or_default();
    Session {
        id: Builder::from_custom_bytes(id).into_uuid(),
        stream: stream.clone(),
        broadcast: Some(visit.broadcast),
        viewer: viewer.to_string(),
        source,
        joined_ms: visit.joined_ms,
        seen_ms,
        left_ms: left.then_some(seen_ms),
        rendition: visit.rendition,
        rung_changes: visit.rung_changes,
        watch_ms,
        stalls: visit.stalls,
        dropped_frames: visit.dropped_frames,
    }
}

/// Writes what waits.
#[derive(Debug)]
pub struct Writer {
    record: Record,
    database: Database,
    sessions: Sessions,
    outbox: Outbox,
}

impl Writer {
    /// Through these tables.
    pub fn new(record: Record, database: Database, sessions: Sessions, outbox: Outbox) -> Self {
        Self { record, database, sessions, outbox }
    }

    /// Writes what comes until `stop`, and then for a moment what is left.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(PERIOD, Duration::from_secs(5));
        while !stop.is_cancelled() {
            let wait = match self.write_batch().await {
                Ok(BATCH..) => Duration::ZERO,
                Ok(_) => {
                    backoff.reset();
                    PERIOD
                }
                Err(error) => {
                    if backoff.attempts() == 0 {
                        tracing::warn!(error = report(&error), "viewers' sessions wait");
                    }
                    backoff.next_delay()
                }
            };
            self.record.show();
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        let rest = async { while let Ok(1..) = self.write_batch().await {} };
        if tokio::time::timeout(FAREWELL, rest).await.is_err() || !self.record.lock().is_empty() {
            tracing::warn!("Postgres did not take the last viewers' sessions");
        }
    }

    /// Writes some of what waits; says how many sessions.
    async fn write_batch(&self) -> Result<usize, DatabaseError> {
        let batch = self.record.take();
        if batch.is_empty() {
            return Ok(0);
        }
        match self.write(&batch).await {
            Ok(()) => {}
            // One of them breaks a rule: it must not keep the others waiting.
            Err(DatabaseError::Invalid { .. }) => self.write_each(batch.clone()).await?,
            Err(error) => {
                self.record.put_back(batch);
                return Err(error);
            }
        }
        Ok(batch.len())
    }

    async fn write_each(&self, batch: Vec<Waiting>) -> Result<(), DatabaseError> {
        let mut rest = batch.into_iter();
        while let Some(one) = rest.next() {
            match self.write(std::slice::from_ref(&one)).await {
                Ok(()) => {}
                Err(error @ DatabaseError::Invalid { .. }) => {
                    tracing::error!(error = report(&error), "a viewer's session is given up");
                    self.record.metrics.sessions_lost.inc();
                }
                Err(error) => {
                    self.record.put_back(std::iter::once(one).chain(rest).collect());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn write(&self, batch: &[Waiting]) -> Result<(), DatabaseError> {
        self.database.in_time("write viewers' sessions", self.write_all(batch)).await
    }

    async fn write_all(&self, batch: &[Waiting]) -> Result<(), DatabaseError> {
        let sessions: Vec<Session> = batch.iter().map(|w| w.session.clone()).collect();
        let mut transaction = self.database.begin().await?;
        let written = self.sessions.upsert(&mut transaction, &sessions).await?;
        let mut events = Vec::new();
        for Waiting { session, changes, .. } in batch {
            events.extend(written.new.contains(&session.id).then(|| told::joined(session)));
            events.extend(changes.iter().map(|change| told::changed(session, change)));
            events.extend(session.left_ms.map(|_| told::left(session)));
        }
        self.outbox.append(&mut transaction, told::SOURCE, &events).await?;
        transaction.commit().await?;
        self.record.keep_late(batch, &written.unnamed);
        Ok(())
    }
}
