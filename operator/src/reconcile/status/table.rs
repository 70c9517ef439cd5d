//! Every condition of a LiveStream with every value and reason it can have:
//! the one source of `docs/conditions.md` and of the code that sets them.

use crate::api::status::Condition;
use crate::api::status::ConditionStatus::{self, False, True, Unknown};
use crate::reconcile::external::Reason;

/// One value of one condition.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The condition's type.
    pub condition: &'static str,
    /// Its value.
    pub status: ConditionStatus,
    /// The word for machines; of an Event too, where one is sent.
    pub reason: &'static str,
    /// What it means and what to do.
    pub meaning: &'static str,
    /// Which stage sets it.
    pub set_by: &'static str,
}

macro_rules! rows {
    ($($name:ident = $condition:literal $status:ident $reason:literal by $stage:literal: $meaning:literal;)+) => {
        $(#[doc = $meaning] pub static $name: Row = Row {
            condition: $condition, status: $status, reason: $reason, meaning: $meaning, set_by: $stage,
        };)+
        /// All rows, in the order of `docs/conditions.md`.
        pub static TABLE: &[&Row] = &[$(&$name),+];
    };
}

rows! {
    ACCEPTED = "Accepted" True "Accepted" by "validate": "The spec holds together.";
    INVALID_SPEC = "Accepted" False "InvalidSpec" by "validate": "A field is wrong, or of a newer release and can't be read; the message names it. What runs stays as it was until the spec changes.";
    HOST_TAKEN = "Accepted" False "HostTaken" by "validate": "An older LiveStream has spec.playback.hostname. Choose another, or delete that one.";
    HOST_NOT_ALLOWED = "Accepted" False "HostNotAllowed" by "validate": "The installation does not let this namespace use that host, class or Gateway. Ask who installed Millrace.";
    SECRET_MISSING = "Accepted" False "SecretMissing" by "dereference": "A Secret that the spec names is not there, or is no certificate. It is looked for again every 30 s.";
    DELETING = "Accepted" False "NotDeleted" by "finalize": "Being deleted, and a child can't be; the message says why. Tried again by itself.";
    SUSPENDED = "Accepted" True "Suspended" by "validate": "spec.suspend is set: nothing runs, nobody can publish.";

    KEYS_READY = "KeysReady" True "KeysReady" by "external": "The Secret holds the publish keys, and Postgres their hashes.";
    KEYS_SECRET_FAILED = "KeysReady" False "SecretNotWritten" by "apply": "The Secret with the publish keys can't be read or written.";
    KEYS_UNAVAILABLE = "KeysReady" False "PostgresUnavailable" by "external": "Postgres can't be reached, or takes no more for now; keys that were good stay good. Tried again by itself.";
    KEYS_REFUSED = "KeysReady" False "PostgresRefused" by "external": "Postgres refused the keys' rows.";
    KEYS_CONFLICT = "KeysReady" False "KeyConflict" by "external": "A key of the Secret was revoked before, or is another stream's. Delete its entry; a new one is made.";
    KEYS_CLEANING_UP = "KeysReady" False "CleaningUp" by "external": "What a deleted LiveStream of this name left is being cleaned up. Tried again by itself.";
    KEYS_FAILED = "KeysReady" False "Failed" by "external": "Something else failed; the message says what.";
    KEYS_UNKNOWN = "KeysReady" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    TOPICS_READY = "TopicsReady" True "TopicsReady" by "external": "The topics are there with their settings.";
    TOPICS_UNAVAILABLE = "TopicsReady" False "KafkaUnavailable" by "external": "Kafka can't be reached, or takes no more for now (a quota). Tried again by itself.";
    TOPICS_REFUSED = "TopicsReady" False "TopicRefused" by "external": "Kafka refused to make or change a topic.";
    TOPICS_NOT_REGISTERED = "TopicsReady" False "PostgresUnavailable" by "external": "Postgres can't be reached, or takes no more for now, so that a new topic can't be registered to be cleaned up one day. Tried again by itself.";
    TOPICS_CLEANING_UP = "TopicsReady" False "CleaningUp" by "external": "What a deleted LiveStream of this name left is being cleaned up. Tried again by itself.";
    TOPICS_FAILED = "TopicsReady" False "Failed" by "external": "Something else failed; the message says what.";
    TOPICS_UNKNOWN = "TopicsReady" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    CACHE_READY = "CacheReady" True "CacheReady" by "external": "Redis answers.";
    CACHE_UNAVAILABLE = "CacheReady" False "RedisUnavailable" by "external": "Redis can't be reached, or takes no more for now: viewers get whole segments from the object store, some seconds later.";
    CACHE_REFUSED = "CacheReady" False "RedisRefused" by "external": "Redis refused: the password, or a command.";
    CACHE_FAILED = "CacheReady" False "Failed" by "external": "Something else failed; the message says what.";
    CACHE_UNKNOWN = "CacheReady" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    INGEST_READY = "IngestReady" True "PodReady" by "status": "The ingest pod is ready and has an address.";
    INGEST_DRAINING = "IngestReady" True "NodeDraining" by "status": "The ingest pod is ready, and its node is being emptied. It is kept for its publisher until the operator's DRAIN_TIMEOUT_SECONDS are over; the message says when.";
    INGEST_EVICTABLE = "IngestReady" True "EvictionAllowed" by "status": "The ingest pod is ready, and its node has been emptied for DRAIN_TIMEOUT_SECONDS: it may be evicted though it has a publisher, who connects again to the next one.";
    INGEST_SUSPENDED = "IngestReady" False "Suspended" by "status": "Taken off by spec.suspend.";
    INGEST_STARTING = "IngestReady" False "PodStarting" by "status": "The ingest pod is not ready yet.";
    INGEST_FAILING = "IngestReady" False "PodFailing" by "status": "The ingest pod can't start or keeps ending; the message says why.";
    INGEST_NOT_READY = "IngestReady" False "PodNotReady" by "status": "The ingest pod has run for a minute or more and is not ready: its log and its /health/ready say why.";
    INGEST_NO_ADDRESS = "IngestReady" False "AddressPending" by "status": "The Service has no address yet: the load balancer has not given one, or Kubernetes no node port.";
    INGEST_NO_HOST = "IngestReady" False "ExternalHostMissing" by "status": "spec.ingest.service.type is NodePort, and this installation does not say under which name its nodes are reached. Ask who installed Millrace for publishing.externalHost.";
    INGEST_NOT_APPLIED = "IngestReady" False "NotApplied" by "apply": "The API server refused a child; the message names it.";
    INGEST_UNKNOWN = "IngestReady" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    TRANSCODE_READY = "TranscodeReady" True "PodReady" by "status": "As many transcode pods are ready as are wanted.";
    TRANSCODE_ASLEEP = "TranscodeReady" True "ScaledToZero" by "status": "Nobody publishes, and spec.transcode.idle is ScaleToZero: a pod starts with the publisher.";
    TRANSCODE_SUSPENDED = "TranscodeReady" False "Suspended" by "status": "Taken off by spec.suspend.";
    TRANSCODE_STARTING = "TranscodeReady" False "PodStarting" by "status": "A transcode pod is not ready yet.";
    TRANSCODE_FAILING = "TranscodeReady" False "PodFailing" by "status": "A transcode pod can't start or keeps ending; the message says why.";
    TRANSCODE_NOT_READY = "TranscodeReady" False "PodNotReady" by "status": "A transcode pod has run for a minute or more and is not ready: its log and its /health/ready say why.";
    TRANSCODE_NOT_APPLIED = "TranscodeReady" False "NotApplied" by "apply": "The API server refused a child; the message names it.";
    TRANSCODE_UNKNOWN = "TranscodeReady" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    PLAYBACK_READY = "PlaybackReady" True "Routed" by "apply": "Viewers' addresses lead to delivery.";
    PLAYBACK_NOT_EXPOSED = "PlaybackReady" True "NotExposed" by "status": "Delivery's Service in the cluster alone leads viewers here: neither the installation's publicUrl nor spec.playback.hostname gives them an address.";
    PLAYBACK_NOT_APPLIED = "PlaybackReady" False "NotApplied" by "apply": "The API server refused the route of the own host; the message says why.";
    PLAYBACK_NO_KEYS = "PlaybackReady" False "NoPlaybackKeys" by "status": "spec.playback.access is Token, and this installation has no keys to check tokens with: nobody can watch. Ask who installed Millrace for playback.keys.";
    PLAYBACK_UNKNOWN = "PlaybackReady" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    UPDATE_PENDING = "UpdatePending" True "WaitsForBroadcast" by "build": "Pods have an older template and keep it while the stream is live. The annotation millrace.dev/roll: now replaces them at once.";
    UPDATE_NONE = "UpdatePending" False "UpToDate" by "build": "Pods have the newest template.";
    UPDATE_UNKNOWN = "UpdatePending" Unknown "NotLookedAt" by "status": "Not looked at, because of what another condition says.";

    LIVE = "Live" True "Publishing" by "log": "The log has an open broadcast.";
    LIVE_INTERRUPTED = "Live" True "WaitsForPublisher" by "log": "The broadcast is open, and its publisher is away; it ends after spec.ingest.reconnectWindow.";
    LIVE_ENDING = "Live" True "Ending" by "log": "The stream is suspended, and the broadcast that it had is being ended.";
    NOT_LIVE = "Live" False "NoBroadcast" by "log": "Nobody publishes.";
    LIVE_UNKNOWN = "Live" Unknown "KafkaUnavailable" by "log": "The log can't be looked at.";

    DEGRADED = "Degraded" True "PartsMissing" by "status": "A publisher is shown, but something that Ready needs is amiss.";
    DEGRADED_STORE = "Degraded" True "StoreUnavailable" by "status": "The object store does not take segments: they wait in memory, for half of spec.ingest.replayWindow at the most. Nothing that is live is missing.";
    DEGRADED_GOP = "Degraded" True "SourceGopTooLong" by "status": "The publisher sends no keyframe for 10 s or longer: viewers wait as long for their first picture, and so does an encoder that begins. Set its keyframe interval to 2 s.";
    NOT_DEGRADED = "Degraded" False "AsExpected" by "status": "Nothing is amiss while live.";

    READY = "Ready" True "Ready" by "status": "A publisher would be accepted and shown.";
    NOT_READY = "Ready" False "PartsMissing" by "status": "A publisher would not be accepted and shown: the message names the conditions that fail.";
    READY_LOG_UNKNOWN = "Ready" False "KafkaUnavailable" by "status": "Kafka can't be reached: a publisher would not be accepted. The message names all conditions that fail.";
    READY_SUSPENDED = "Ready" False "Suspended" by "status": "Taken off by spec.suspend.";
    READY_TERMINATING = "Ready" False "Terminating" by "finalize": "Being deleted.";
}

/// The row for a failed step of a condition.
pub fn failure(condition: &str, reason: Reason) -> &'static Row {
    let named = |reason: &str| {
        let row = TABLE.iter().find(|row| row.condition == condition && row.reason == reason);
        row.copied()
    };
    named(reason.as_str()).or_else(|| named("Failed")).unwrap_or(&NOT_READY)
}

/// Has the conditions point into the table where they say what is in it: of
/// many thousands of streams the same words would be a good part.
pub fn share_words(conditions: &mut [Condition]) {
    for condition in conditions {
        let row = TABLE.iter().find(|row| {
            row.condition == condition.type_
                && (row.status, row.reason) == (condition.status, &condition.reason)
        });
        if let Some(row) = row {
            condition.type_ = row.condition.into();
            condition.reason = row.reason.into();
            if condition.message == row.meaning {
                condition.message = row.meaning.into();
            }
        }
    }
}

/// The table as Markdown: `docs/conditions.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Conditions of a LiveStream\n\n\
         Printed by `millrace-operator conditions`; `make crd` writes it again.\n\n\
         | condition | value | reason | set by | meaning |\n|---|---|---|---|---|\n",
    );
    for row in TABLE {
        let status = match row.status {
            True => "True",
            False => "False",
            Unknown => "Unknown",
        };
        let cells = [row.condition, status, row.reason, row.set_by, row.meaning];
        text.push_str("| ");
        text.push_str(&cells.join(" | "));
        text.push_str(" |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_of_conditions_is_the_table() {
        let page = include_str!("../../../../docs/conditions.md");
        assert!(page == markdown(), "docs/conditions.md is old: run `make crd`");
    }

    #[test]
    fn words_that_are_in_the_table_are_shared_and_others_stay() {
        let read = |message: &str| -> Condition {
            serde_json::from_value(json!({
                "type": "Ready", "status": "False", "reason": "Suspended", "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            }))
            .unwrap()
        };
        let mut all = [read(READY_SUSPENDED.meaning), read("own words")];
        let before = all.clone();
        share_words(&mut all);
        assert_eq!(all, before);
        let shared = all
            .map(|c| [c.type_, c.reason, c.message].map(|words| matches!(words, Cow::Borrowed(_))));
        assert_eq!(shared, [[true, true, true], [true, true, false]]);
    }

    #[test]
    fn every_failure_of_a_step_has_a_row() {
        for reason in Reason::ALL {
            for condition in ["KeysReady", "TopicsReady", "CacheReady"] {
                let row = failure(condition, reason);
                assert_eq!((row.condition, row.status), (condition, False), "{reason:?}");
            }
        }
    }
}
