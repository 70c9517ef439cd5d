//! What the metrics of each second take from here: that a broadcast is open,
//! and what its publisher sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_platform::redis::metrics::{Counters, Live};
use tokio_util::sync::CancellationToken;

use crate::stream::Stream;

/// Tells, each second until `stop`.
pub(crate) async fn run(stream: Arc<Stream>, live: Live, stop: CancellationToken) {
    let told = AtomicU64::new(0);
    let counted = || {
        let received = stream.metrics.received();
        let new = received.saturating_sub(told.swap(received, Ordering::Relaxed));
        let broadcast = stream.log.control().open().map(|open| open.broadcast)?;
        Some(Counters { broadcast: Some(broadcast), ingress_bytes: new, ..Counters::default() })
    };
    live.run(counted, stop).await;
}
