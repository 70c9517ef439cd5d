//! The outside of streams, made so, with patience for servers that are still
//! starting.

use std::time::{Duration, Instant};

use millrace_platform::backoff::Backoff;
use millrace_platform::config::Env;
use millrace_platform::report::report;
use tracing::{info, warn};

use super::plan::PlanError;
use crate::reconcile::build::publish_keys_secret::StreamKeys;
use crate::reconcile::external::{self, External};
use crate::reconcile::validated::ValidatedStream;

/// Streams whose outside was made so.
pub(super) struct Made {
    outside: External,
    streams: Vec<ValidatedStream>,
}

impl Made {
    /// Their processes are ready: tell so. Video does not need it.
    pub(super) async fn tell(&self) {
        for stream in &self.streams {
            if let Err(error) = external::events::provisioned(&self.outside, stream).await {
                warn!(stream = %stream.id, "StreamProvisioned is not told: {}", report(&error));
            }
        }
    }
}

/// Make all streams' things so; a server that doesn't answer is tried again
/// for as long as `patience`.
pub(super) async fn apply(
    env: &Env,
    streams: Vec<ValidatedStream>,
    keys: &[StreamKeys],
    patience: Duration,
) -> Result<Made, PlanError> {
    let outside = External::open(env)?;
    info!(streams = streams.len(), "making keys in Postgres and topics in Kafka");
    let until = Instant::now() + patience;
    for (stream, keys) in streams.iter().zip(keys) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        while let Err(error) = external::apply(&outside, stream, keys).await {
            if !error.is_transient() || Instant::now() >= until {
                return Err(error.into());
            }
            if backoff.attempts() == 0 {
                warn!("{error}; trying again for {patience:?}");
            }
            backoff.wait().await;
        }
    }
    Ok(Made { outside, streams })
}
