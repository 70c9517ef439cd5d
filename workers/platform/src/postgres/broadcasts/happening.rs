//! The events of a broadcast's life.
//!
//! A broadcast starts and ends once, so its id alone makes those events; it is
//! interrupted and resumed once per publisher connection.

use millrace_media::id::Epoch;

use super::Broadcast;
use crate::kafka::Event;
use crate::kafka::events::data::{
    EventData, StreamEnded, StreamFailed, StreamInterrupted, StreamResumed, StreamStarted,
};

/// What happened to a broadcast.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening<'a> {
    Started,
    Interrupted,
    Resumed,
    Ended(&'a str),
    Failed(&'a str),
}

impl Broadcast {
    /// Its event, which happened in `epoch` at `at_ms`.
    pub(super) fn happening(
        &self,
        what: Happening<'_>,
        epoch: Epoch,
        at_ms: i64,
    ) -> Event<EventData> {
        let (broadcast, started_ms) = (self.opened.broadcast, self.opened.started_ms);
        let mut identity = vec![broadcast.to_string()];
        let data: EventData = match what {
            Happening::Started => StreamStarted { broadcast, epoch, started_ms }.into(),
            Happening::Interrupted => {
                identity.push(epoch.to_string());
                StreamInterrupted { broadcast, epoch, started_ms }.into()
            }
            Happening::Resumed => {
                identity.push(epoch.to_string());
                StreamResumed { broadcast, epoch, started_ms }.into()
            }
            Happening::Ended(reason) => {
                let reason = reason.to_owned();
                StreamEnded { broadcast, epoch, started_ms, reason }.into()
            }
            Happening::Failed(reason) => {
                let reason = reason.to_owned();
                StreamFailed { broadcast, epoch, started_ms, reason }.into()
            }
        };
        Event::new(self.opened.stream.clone(), at_ms, identity, data)
    }
}
