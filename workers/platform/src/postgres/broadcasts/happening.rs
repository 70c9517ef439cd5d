//! The events of a broadcast's life.
//!
//! A broadcast starts and ends once, so its id alone makes those events; it is
//! interrupted and resumed once per publisher connection.

use millrace_media::id::{BroadcastId, Epoch};
use serde::Serialize;

use super::Broadcast;
use crate::kafka::{Event, EventType};

/// The data of every event of a broadcast's life. Consumers order by
/// (broadcast, epoch).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Happening {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The publisher connection it is about.
    pub epoch: Epoch,
    /// When the broadcast began, ms since 1970.
    pub started_ms: i64,
    /// Why it ended or failed; only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Broadcast {
    /// Its event of this kind, which happened in `epoch` at `at_ms`.
    pub(super) fn happening(
        &self,
        kind: EventType,
        epoch: Epoch,
        at_ms: i64,
        reason: Option<&str>,
    ) -> Event<Happening> {
        let broadcast = self.opened.broadcast;
        let mut identity = vec![broadcast.to_string()];
        if matches!(kind, EventType::StreamInterrupted | EventType::StreamResumed) {
            identity.push(epoch.to_string());
        }
        let data = Happening {
            broadcast,
            epoch,
            started_ms: self.opened.started_ms,
            reason: reason.map(str::to_owned),
        };
        Event { kind, stream: self.opened.stream.clone(), time_ms: at_ms, identity, data }
    }
}
