//! What a stream has outside Kubernetes, made so: its row in the register, with
//! the event that tells of it ([`registry`]), its topics in Kafka ([`topics`]),
//! its keys' rows in Postgres ([`keys`]); whether its caches can be had
//! ([`cache`]). Each is a step of its own with a [`StepError`] of its own.
//! Idempotent: a second run finds everything as it should be and writes
//! nothing. [`make`] is all of them.
//!
//! [`sweep`] cleans up after LiveStreams that are gone, [`live`] sees in the
//! logs who publishes, [`ending`] ends what a suspended stream has open,
//! [`figures`] reads who watches, [`rungs`] what there is to watch.
//!
//! A step takes at most [`BOUND`], and no time at all while its service is
//! known to be away.

pub mod cache;
pub mod ending;
pub mod events;
pub mod figures;
mod guard;
pub mod keys;
pub mod live;
mod memory;
mod open;
mod outcomes;
pub mod outside;
pub mod registry;
pub mod rungs;
mod step;
pub mod sweep;
pub mod topics;

use super::build::publish_keys_secret::StreamKeys;
use super::validated::ValidatedStream;

pub use guard::BOUND;
pub use open::{External, ExternalError};
pub use outcomes::{Outcomes, make};
pub use step::{Done, Reason, Service, StepError};

/// Make one stream's things so, for `local`: nothing is swept there, so nothing
/// is registered.
pub async fn apply(
    outside: &External,
    stream: &ValidatedStream,
    keys: &StreamKeys,
) -> Result<(), StepError> {
    // Topics first: a key that is good admits a publisher at once.
    topics::ensure(outside, stream).await?;
    keys::follow(outside, stream, keys).await?;
    Ok(())
}
