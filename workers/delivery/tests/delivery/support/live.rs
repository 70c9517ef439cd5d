//! Calls streams live, as their ingest does.

use std::time::Duration;

use millrace_media::id::{BroadcastId, StreamId};
use millrace_platform::redis::metrics::Counters;
use tokio_util::task::AbortOnDropHandle;

use super::World;

/// What its publisher sends in a second, bytes.
pub(crate) const INGRESS: u64 = 375_000;

pub(crate) use millrace_platform::wall::second as seconds;

/// From now on until it is dropped.
pub(crate) fn call_live(
    world: &World,
    stream: &StreamId,
    broadcast: BroadcastId,
) -> AbortOnDropHandle<()> {
    let store = world.origin().metrics;
    let counted =
        Counters { broadcast: Some(broadcast), ingress_bytes: INGRESS, ..Counters::default() };
    let counted = [(stream.clone(), counted)];
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            // Both, so that no second is without however late this task is.
            for second in [seconds() - 1, seconds()] {
                let _ = store.put_live("ingest-test", second, &counted).await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }))
}
