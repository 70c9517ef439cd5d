//! What happens outside Kubernetes brings streams into the queue: a broadcast
//! that begins or ends, by the logs; viewers, bitrate and rungs, by Redis.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use millrace_media::id::StreamId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::watches::Triggers;
use crate::api::LiveStream;
use crate::reconcile::context::Context;
use crate::reconcile::external::{figures, rungs};

/// The status shows new figures this often.
const FIGURES: Duration = Duration::from_secs(30);
/// Streams whose figures are asked for at once.
const BATCH: usize = 500;

/// Brings streams into the queue.
#[derive(Clone)]
pub struct Told {
    /// What is known.
    pub context: Arc<Context>,
    /// The queues.
    pub triggers: Triggers,
}

impl Told {
    /// By the logs, until `stop`.
    pub async fn logs(self, mut changed: mpsc::Receiver<StreamId>, stop: CancellationToken) {
        while let Some(Some(stream)) = stop.run_until_cancelled(changed.recv()).await {
            debug!(%stream, seen = ?self.context.live.logs.get(&stream), "log");
            self.trigger(&stream).await;
        }
        stop.cancelled().await;
    }

    /// By Redis, until `stop`.
    pub async fn figures(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FIGURES)).await.is_some() {
            let live = self.context.live.logs.live();
            let mut all = std::collections::HashMap::new();
            for batch in live.chunks(BATCH) {
                match figures::figures(&self.context.external, batch).await {
                    Ok(some) => all.extend(some),
                    // The status keeps what it shows.
                    Err(error) => debug!(error = error.message(), "no figures"),
                }
            }
            let mut news: BTreeSet<_> = self.context.live.put_figures(all).into_iter().collect();
            for batch in self.context.live.without_rungs(&live).chunks(BATCH) {
                match rungs::rungs(&self.context.external, batch).await {
                    Ok(some) => news.extend(self.context.live.put_rungs(some)),
                    Err(error) => debug!(error = error.message(), "no rungs"),
                }
            }
            for stream in &news {
                self.trigger(stream).await;
            }
        }
    }

    async fn trigger(&self, stream: &StreamId) {
        let reference = ObjectRef::<LiveStream>::new(stream.name()).within(stream.namespace());
        self.triggers.send(reference).await;
    }
}
