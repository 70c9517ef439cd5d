//! A row of `streams` as the query gives it.

use millrace_media::id::{BroadcastId, Epoch};
use uuid::Uuid;

use super::super::decode;
use super::{Broadcast, BroadcastStatus, Opened};

pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) stream_id: String,
    pub(super) status: String,
    pub(super) epoch: i64,
    pub(super) active_epoch: Option<i64>,
    pub(super) interrupted_epoch: Option<i64>,
    pub(super) key_id: String,
    pub(super) started_ms: i64,
    pub(super) ended_ms: Option<i64>,
    pub(super) end_reason: Option<String>,
}

fn epoch(number: i64) -> Result<Epoch, sqlx::Error> {
    u64::try_from(number).map(Epoch).map_err(decode)
}

impl TryFrom<Row> for Broadcast {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let status = BroadcastStatus::parse(&row.status)
            .ok_or_else(|| sqlx::Error::Decode(format!("status {:?}", row.status).into()))?;
        Ok(Self {
            opened: Opened {
                broadcast: BroadcastId(row.id),
                stream: row.stream_id.parse().map_err(decode)?,
                epoch: epoch(row.epoch)?,
                key_id: row.key_id.parse().map_err(decode)?,
                started_ms: row.started_ms,
            },
            status,
            // Version 1 activates without saying whose picture it was.
            active: row
                .active_epoch
                .or((status == BroadcastStatus::Active).then_some(row.epoch))
                .map(epoch)
                .transpose()?,
            interrupted: row.interrupted_epoch.map(epoch).transpose()?,
            ended_ms: row.ended_ms,
            end_reason: row.end_reason,
        })
    }
}
