//! Kubernetes Events of what changed: a person reads them with `kubectl
//! describe`. The recorder counts repetitions instead of telling them again.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType};
use tracing::warn;

use super::table::{self, Row};
use crate::api::LiveStream;
use crate::api::status::{Condition, ConditionStatus, LiveStreamStatus};
use crate::reconcile::apply::is_refusal;
use crate::reconcile::context::Context;

/// How often an Event is tried,
const TRIES: u32 = 3;
/// and how long after it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Values that are on the way to another, or that follow from another
/// condition's: nobody needs to be told of them.
static QUIET: [&Row; 4] =
    [&table::INGEST_STARTING, &table::TRANSCODE_STARTING, &table::NOT_READY, &table::DEGRADED];
/// What is told though nothing fails.
static TOLD: [&Row; 8] = [
    &table::READY,
    &table::LIVE,
    &table::LIVE_INTERRUPTED,
    &table::NOT_LIVE,
    &table::UPDATE_PENDING,
    &table::SUSPENDED,
    &table::TRANSCODE_ASLEEP,
    &table::INGEST_EVICTABLE,
];

/// Tell what is news in `after`.
pub(super) async fn tell(context: &Context, stream: &LiveStream, after: &LiveStreamStatus) {
    let before = stream.status.as_ref().map(|status| status.conditions.as_slice());
    let reference = stream.object_ref(&());
    for condition in news(before.unwrap_or_default(), &after.conditions) {
        let Some(type_) = event_type(condition, before.is_some()) else { continue };
        let event = Event {
            type_,
            reason: condition.reason.to_string(),
            note: Some(condition.message.to_string()),
            action: condition.type_.to_string(),
            secondary: None,
        };
        publish(context, &event, &reference).await;
    }
}

/// Nothing tells it again, so it is tried more than once. A namespace that is
/// being deleted takes none, ever.
async fn publish(context: &Context, event: &Event, about: &ObjectReference) {
    for again in (0..TRIES).rev() {
        match context.recorder.publish(event, about).await {
            Ok(()) => return,
            Err(error) if again > 0 && !is_refusal(&error) => tokio::time::sleep(AGAIN).await,
            Err(error) => {
                warn!(%error, reason = event.reason, "can't write an Event");
                return;
            }
        }
    }
}

/// Tell that the publish keys' Secret was lost: those who had a key need the
/// new one.
pub async fn secret_lost(context: &Context, stream: &LiveStream) {
    let event = Event {
        type_: EventType::Warning,
        reason: "KeysSecretLost".to_owned(),
        note: Some(
            "The Secret with the publish keys was gone. New keys are in it; the old ones are \
             revoked."
                .to_owned(),
        ),
        action: "KeysReady".to_owned(),
        secondary: None,
    };
    publish(context, &event, &stream.object_ref(&())).await;
}

fn news<'a>(
    before: &'a [Condition],
    after: &'a [Condition],
) -> impl Iterator<Item = &'a Condition> {
    after.iter().filter(move |condition| {
        let held = before.iter().find(|held| held.type_ == condition.type_);
        held.is_none_or(|held| (held.status, &held.reason) != (condition.status, &condition.reason))
    })
}

fn event_type(condition: &Condition, seen_before: bool) -> Option<EventType> {
    let is = |row: &&Row| row.condition == condition.type_ && row.reason == condition.reason;
    if TOLD.iter().any(is) {
        // That a new stream has no broadcast is no news.
        return (seen_before || condition.status == ConditionStatus::True)
            .then_some(EventType::Normal);
    }
    let suspended = condition.reason == table::INGEST_SUSPENDED.reason;
    let needed =
        super::NEEDED.contains(&condition.type_.as_ref()) || condition.type_ == "CacheReady";
    let failed = condition.status == ConditionStatus::False && needed && !suspended;
    (failed && !QUIET.iter().any(is)).then_some(EventType::Warning)
}
