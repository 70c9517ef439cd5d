//! `streams`: one row per broadcast, following what the log says, and the
//! events that tell so.
//!
//! Every call may be repeated and says the whole truth it knows, so that
//! whoever folds the log again ends with the same row and tells nothing twice.
//! A change and its event are written through one [`Transaction`]. The trigger
//! in migrations/ enforces PENDING_INGEST → ACTIVE → ENDED | ERROR.

mod change;
mod happening;
mod read;
mod row;

use millrace_media::id::{BroadcastId, Epoch, KeyId, StreamId};
use millrace_media::record::EndReason;

use super::outbox::Outbox;
use super::{Database, DatabaseError, Transaction};
use crate::config::Installation;
use change::{Notice, apply};
pub use read::BroadcastFilter;
use row::Row;

/// Who tells the life of a broadcast: the events' source.
const SOURCE: &str = "ingest";
/// Who tells its end when its LiveStream was deleted.
const SWEEPER: &str = "operator";
/// Why it ended then.
const DELETED: &str = "deleted";

/// Where a broadcast is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BroadcastStatus {
    /// A publisher was accepted, no media yet.
    PendingIngest,
    /// Media is in the log.
    Active,
    /// Over.
    Ended,
    /// Over, by a fault.
    Error,
}

impl BroadcastStatus {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "PENDING_INGEST" => Self::PendingIngest,
            "ACTIVE" => Self::Active,
            "ENDED" => Self::Ended,
            "ERROR" => Self::Error,
            _ => return None,
        })
    }

    /// As the row says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingIngest => "PENDING_INGEST",
            Self::Active => "ACTIVE",
            Self::Ended => "ENDED",
            Self::Error => "ERROR",
        }
    }
}

/// A publisher accepted by the log.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// Its stream.
    pub stream: StreamId,
    /// The publisher connection.
    pub epoch: Epoch,
    /// The key it came with.
    pub key_id: KeyId,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// Who, where, when; the epoch is the highest so far.
    pub opened: Opened,
    /// Where it is in its life.
    pub status: BroadcastStatus,
    /// The highest publisher connection whose media is in the log.
    pub active: Option<Epoch>,
    /// The highest publisher connection that was lost without an end.
    pub interrupted: Option<Epoch>,
    /// When it ended, ms since 1970.
    pub ended_ms: Option<i64>,
    /// Why it ended.
    pub end_reason: Option<String>,
}

/// Why a broadcast failed whose publisher came and sent no picture.
pub const NO_MEDIA: &str = "noMedia";

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Broadcasts {
    database: Database,
    installation: Installation,
    outbox: Outbox,
}

/// Why a broadcast ended, as the row says it.
pub fn end_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Unpublished => "unpublished",
        EndReason::ReconnectWindow => "reconnectWindow",
        EndReason::KeyRevoked => "keyRevoked",
        EndReason::Administrator => "administrator",
    }
}

impl Broadcasts {
    /// The broadcasts of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        let outbox = Outbox::new(database.clone(), installation.clone());
        Self { database, installation, outbox }
    }

    /// A publisher was accepted: makes the row, or notes the higher epoch of a
    /// publisher that came back.
    ///
    /// # Errors
    /// `Conflict` when the id is another stream's.
    pub async fn open(
        &self,
        transaction: &mut Transaction,
        opened: &Opened,
    ) -> Result<(), DatabaseError> {
        let what = || format!("open broadcast {}", opened.broadcast);
        let done = sqlx::query!(
            "INSERT INTO streams (id, installation, stream_id, epoch, key_id, started_at)
             VALUES ($1, $2, $3, $4, $5, to_timestamp($6::bigint / 1000.0))
             ON CONFLICT (id) DO UPDATE SET epoch = greatest(streams.epoch, EXCLUDED.epoch)
             WHERE streams.installation = EXCLUDED.installation
               AND streams.stream_id = EXCLUDED.stream_id",
            opened.broadcast.0,
            self.installation.as_str(),
            opened.stream.as_str(),
            number(opened.epoch),
            opened.key_id.as_str(),
            opened.started_ms,
        )
        .execute(transaction.connection())
        .await
        .map_err(|e| transaction.error(what(), e))?;
        if done.rows_affected() == 0 {
            let detail = "the id is another stream's".to_owned();
            return Err(DatabaseError::Conflict { what: what(), detail });
        }
        Ok(())
    }

    /// Media of this publisher connection is in the log. The first tells
    /// StreamStarted, a later one StreamResumed.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`], `InvalidTransition` after the end.
    pub async fn activate(
        &self,
        transaction: &mut Transaction,
        broadcast: BroadcastId,
        epoch: Epoch,
        at_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = format!("activate broadcast {broadcast}");
        self.notice(transaction, what, broadcast, Notice::Active(epoch), at_ms).await
    }

    /// This publisher connection was lost without an end: StreamInterrupted,
    /// if it was the one that published.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`].
    pub async fn interrupt(
        &self,
        transaction: &mut Transaction,
        broadcast: BroadcastId,
        epoch: Epoch,
        at_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = format!("interrupt broadcast {broadcast}");
        self.notice(transaction, what, broadcast, Notice::Interrupted(epoch), at_ms).await
    }

    /// The log says it is over: StreamEnded. A row whose activation was never
    /// written (Postgres was away) is activated on the way.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`], `InvalidTransition` after a
    /// fault. A second end changes nothing.
    pub async fn end(
        &self,
        transaction: &mut Transaction,
        broadcast: BroadcastId,
        reason: EndReason,
        ended_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = format!("end broadcast {broadcast}");
        let notice = Notice::Ended(end_reason(reason));
        self.notice(transaction, what, broadcast, notice, ended_ms).await
    }

    /// Its LiveStream was deleted and nobody is left to end it: StreamEnded, or
    /// StreamFailed when no media came, told by the operator.
    ///
    /// # Errors
    /// `NotFound` when there is no such row. Of one that is over nothing
    /// changes.
    pub async fn end_deleted(
        &self,
        transaction: &mut Transaction,
        broadcast: BroadcastId,
        at_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = format!("end broadcast {broadcast} of a deleted LiveStream");
        let row = self.lock(transaction, &what, broadcast).await?;
        let notice = match row.status {
            BroadcastStatus::Active => Notice::Ended(DELETED),
            BroadcastStatus::PendingIngest => Notice::Failed(DELETED),
            BroadcastStatus::Ended | BroadcastStatus::Error => return Ok(()),
        };
        let Some((new, events)) = apply(&row, notice, at_ms) else { return Ok(()) };
        self.write(transaction, &what, &new).await?;
        self.outbox.append(transaction, SWEEPER, &events).await.map(drop)
    }

    /// A fault ended it: StreamFailed; `reason` is for people and holds no
    /// secret.
    ///
    /// # Errors
    /// `NotFound` before [`Broadcasts::open`], `InvalidTransition` after an
    /// ordinary end. A second fault changes nothing.
    pub async fn fail(
        &self,
        transaction: &mut Transaction,
        broadcast: BroadcastId,
        reason: &str,
        failed_ms: i64,
    ) -> Result<(), DatabaseError> {
        let what = format!("fail broadcast {broadcast}");
        self.notice(transaction, what, broadcast, Notice::Failed(reason), failed_ms).await
    }

    /// Writes what a notice changes and the events that tell so. The row stays
    /// locked until the transaction ends, so notices follow each other.
    async fn notice(
        &self,
        transaction: &mut Transaction,
        what: String,
        broadcast: BroadcastId,
        notice: Notice<'_>,
        at_ms: i64,
    ) -> Result<(), DatabaseError> {
        let row = self.lock(transaction, &what, broadcast).await?;
        let Some((new, events)) = apply(&row, notice, at_ms) else { return Ok(()) };
        if row.status == BroadcastStatus::PendingIngest && new.status == BroadcastStatus::Ended {
            self.write(transaction, &what, &Broadcast { status: BroadcastStatus::Active, ..row })
                .await?;
        }
        self.write(transaction, &what, &new).await?;
        self.outbox.append(transaction, SOURCE, &events).await.map(drop)
    }

    async fn lock(
        &self,
        transaction: &mut Transaction,
        what: &str,
        broadcast: BroadcastId,
    ) -> Result<Broadcast, DatabaseError> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, stream_id, status, epoch, active_epoch, interrupted_epoch, key_id,
                      end_reason, (extract(epoch FROM started_at) * 1000)::bigint AS "started_ms!",
                      (extract(epoch FROM ended_at) * 1000)::bigint AS "ended_ms"
               FROM streams WHERE id = $1 AND installation = $2 FOR NO KEY UPDATE"#,
            broadcast.0,
            self.installation.as_str(),
        )
        .fetch_one(transaction.connection())
        .await;
        row.and_then(Broadcast::try_from).map_err(|e| transaction.error(what, e))
    }

    async fn write(
        &self,
        transaction: &mut Transaction,
        what: &str,
        new: &Broadcast,
    ) -> Result<(), DatabaseError> {
        let done = sqlx::query!(
            "UPDATE streams SET status = $2, active_epoch = $3, interrupted_epoch = $4,
                 ended_at = to_timestamp($5::bigint / 1000.0), end_reason = $6
             WHERE id = $1",
            new.opened.broadcast.0,
            new.status.as_str(),
            new.active.map(number),
            new.interrupted.map(number),
            new.ended_ms,
            new.end_reason,
        )
        .execute(transaction.connection())
        .await;
        done.map(drop).map_err(|e| transaction.error(what, e))
    }
}

/// As Postgres counts.
fn number(epoch: Epoch) -> i64 {
    i64::try_from(epoch.0).unwrap_or(i64::MAX)
}
