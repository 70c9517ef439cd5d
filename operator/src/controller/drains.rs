//! A drain that has waited long enough brings the streams on its node into the
//! queue.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio_util::sync::CancellationToken;

use super::watches::Triggers;
use crate::reconcile::context::Context;

/// The clock is looked at this often while something waits: it may be set.
const LOOK: Duration = Duration::from_secs(10);

/// Watches the clock, until `stop`.
pub async fn run(context: Arc<Context>, triggers: Triggers, stop: CancellationToken) {
    let watch = async {
        let mut all = context.drains.follow();
        let mut looked = Timestamp::now();
        loop {
            let now = Timestamp::now();
            let dues: Vec<_> = {
                let all = all.borrow_and_update();
                let dues = all
                    .iter()
                    .map(|(node, one)| (node.clone(), one.is_due_at(context.drain_timeout)));
                dues.collect()
            };
            for (node, _) in dues.iter().filter(|(_, due)| looked < *due && *due <= now) {
                for (namespace, name) in context.seen.publishing_on(node) {
                    triggers.send(ObjectRef::new(&name).within(&namespace)).await;
                }
            }
            looked = now;
            let next = dues.iter().map(|(_, due)| *due).filter(|due| *due > now).min();
            let wait = next.map(|due| until(due).min(LOOK));
            tokio::select! {
                changed = all.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    };
    stop.run_until_cancelled(watch).await;
    stop.cancelled().await;
}

/// A little longer, so that the moment has come and not almost.
fn until(due: Timestamp) -> Duration {
    let wait = due.duration_since(Timestamp::now());
    Duration::try_from(wait).unwrap_or_default() + Duration::from_millis(1)
}
