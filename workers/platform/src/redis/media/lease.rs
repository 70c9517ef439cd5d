//! Who may write a stream's media, and why a write was refused.

use millrace_media::id::{BroadcastId, Run};
use uuid::Uuid;

use super::EntryId;
use crate::redis::RedisError;

/// Who writes: a run of a broadcast, and the process that has claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The run claimed in the object store.
    pub run: Run,
    /// A nonce of the process.
    pub token: Uuid,
}

/// Who holds the lease now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The broadcast.
    pub broadcast: String,
    /// The run.
    pub run: Run,
    /// The process that has claimed it; none if only the broadcast's description
    /// is there.
    pub token: Option<Uuid>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Another writer has taken over: stop.
    #[error("overtaken by run {} of broadcast {}", by.run, by.broadcast)]
    Fenced {
        /// The writer that holds the lease.
        by: Holder,
    },
    /// Nobody holds a lease, or what was published before is not there: Redis
    /// has lost its data, or it was never claimed. Claim it, restore the window,
    /// then write on.
    #[error("the writer's lease, or what it published before, is gone from Redis")]
    LeaseLost,
    /// The entry would come before the last one.
    #[error("entry {entry} is not after {last}, the last one")]
    OutOfOrder {
        /// The entry refused.
        entry: EntryId,
        /// The last one there.
        last: String,
    },
    /// Redis did not do it.
    #[error(transparent)]
    Redis(#[from] RedisError),
}
