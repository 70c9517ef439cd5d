//! The last stage: what was found and done becomes the LiveStream's status.
//! Pure, but for the write at the end; nothing is written when nothing changed.

pub mod events;
pub mod findings;
pub mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{CustomResourceExt, Resource, ResourceExt};
use serde_json::json;

use super::context::Context;
use super::retry_after;
use crate::api::LiveStream;
use crate::api::status::{Condition, ConditionStatus, LiveStreamStatus, Phase};
use findings::{Findings, LogView};
use table::Row;

/// Longest message of a condition, in characters; the schema's limit.
const MESSAGE: usize = 1_024;

/// Who owns the fields of the status.
const FIELD_MANAGER: &str = "millrace-operator-status";

/// The conditions that Ready sums up.
const NEEDED: [&str; 6] =
    ["Accepted", "KeysReady", "TopicsReady", "IngestReady", "TranscodeReady", "PlaybackReady"];

/// One condition's value, with a sentence for people.
#[derive(Debug, Clone)]
pub struct Verdict {
    row: &'static Row,
    message: Cow<'static, str>,
}

impl Verdict {
    /// With the row's own meaning as the sentence.
    pub fn plain(row: &'static Row) -> Self {
        Self { row, message: row.meaning.into() }
    }

    /// With a sentence that says more, as much of it as the schema takes.
    pub fn of(row: &'static Row, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE) {
            message.truncate(end);
        }
        Self { row, message: message.into() }
    }

    /// The row.
    pub fn row(&self) -> &'static Row {
        self.row
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The status that the findings make, given the one before.
pub fn status(
    findings: &Findings,
    generation: i64,
    before: Option<&LiveStreamStatus>,
    now: &Time,
) -> LiveStreamStatus {
    let mut verdicts = findings.verdicts();
    verdicts.extend(summary(findings, &verdicts, before));
    let held: BTreeMap<&str, &Condition> = before
        .map(|status| status.conditions.iter().map(|c| (c.type_.as_ref(), c)).collect())
        .unwrap_or_default();
    let conditions: Vec<Condition> = verdicts
        .iter()
        .map(|verdict| {
            condition(verdict, held.get(verdict.row.condition).copied(), generation, now)
        })
        .collect();
    let phase = phase(findings, &verdicts, before);
    let figures = findings.figures(before);
    LiveStreamStatus {
        phase: Some(phase),
        observed_generation: Some(generation),
        conditions,
        endpoints: findings.endpoints.clone(),
        broadcast: findings.broadcast(before),
        rungs: findings.rungs(before),
        viewers: figures.0,
        ingress_bitrate_kbps: figures.1,
    }
}

fn condition(
    verdict: &Verdict,
    before: Option<&Condition>,
    generation: i64,
    now: &Time,
) -> Condition {
    let row = verdict.row;
    let since = before.filter(|before| before.status == row.status);
    Condition {
        type_: row.condition.into(),
        status: row.status,
        reason: row.reason.into(),
        message: verdict.message.clone(),
        last_transition_time: since.map_or_else(|| now.clone(), |c| c.last_transition_time.clone()),
        observed_generation: generation,
    }
}

/// Degraded and Ready, which follow from the others. A log that can't be looked
/// at takes no publisher either.
fn summary(
    findings: &Findings,
    verdicts: &[Verdict],
    before: Option<&LiveStreamStatus>,
) -> [Verdict; 2] {
    let is_missing = |row: &Row| {
        let is_needed = NEEDED.contains(&row.condition) && row.status != ConditionStatus::True;
        is_needed || *row == table::LIVE_UNKNOWN
    };
    let missing: Vec<String> = verdicts
        .iter()
        .filter(|verdict| is_missing(verdict.row))
        .map(|verdict| format!("{} ({})", verdict.row.condition, verdict.row.reason))
        .collect();
    let list = missing.join(", ");
    let degraded = if findings.is_on_air(before) && !missing.is_empty() {
        Verdict::of(&table::DEGRADED, format!("Missing: {list}."))
    } else if let Some(amiss) = findings.amiss(before).filter(|_| findings.is_on_air(before)) {
        Verdict::plain(amiss)
    } else {
        Verdict::plain(&table::NOT_DEGRADED)
    };
    let ready = if findings.terminating {
        Verdict::plain(&table::READY_TERMINATING)
    } else if findings.suspended {
        Verdict::plain(&table::READY_SUSPENDED)
    } else if missing.is_empty() {
        Verdict::plain(&table::READY)
    } else if findings.log == LogView::Unknown {
        Verdict::of(&table::READY_LOG_UNKNOWN, format!("Missing: {list}."))
    } else {
        Verdict::of(&table::NOT_READY, format!("Missing: {list}."))
    };
    [degraded, ready]
}

/// What is on air comes first, whatever may be wrong with its spec by now.
fn phase(findings: &Findings, verdicts: &[Verdict], before: Option<&LiveStreamStatus>) -> Phase {
    let value = |condition: &str| {
        verdicts.iter().find(|v| v.row.condition == condition).map(|v| v.row.status)
    };
    let is = |condition: &str| value(condition) == Some(ConditionStatus::True);
    if findings.terminating {
        Phase::Terminating
    } else if findings.is_on_air(before) {
        if is("Degraded") { Phase::Degraded } else { Phase::Live }
    } else if value("Accepted") == Some(ConditionStatus::False) {
        Phase::Failed
    } else if findings.suspended {
        Phase::Suspended
    } else if is("Ready") {
        Phase::Ready
    } else {
        Phase::Pending
    }
}

/// The status can't be written.
#[derive(Debug, thiserror::Error)]
#[error("can't write the status")]
pub struct StatusError(#[source] Box<kube::Error>);

impl StatusError {
    /// For how long the API server asks not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after::of(&self.0)
    }
}

/// Write the status if it is news, and tell what changed.
pub async fn write(
    context: &Context,
    stream: &LiveStream,
    status: &LiveStreamStatus,
) -> Result<(), StatusError> {
    if stream.status.as_ref() == Some(status) {
        return Ok(());
    }
    let (name, namespace) = (stream.name_any(), stream.namespace().unwrap_or_default());
    // Of the answer no more is read: the spec may be one that can't be.
    let api: Api<PartialObjectMeta<LiveStream>> =
        Api::namespaced(context.client.clone(), &namespace);
    let resource = LiveStream::api_resource();
    let manifest = json!({
        "apiVersion": resource.api_version,
        "kind": LiveStream::kind(&()),
        "metadata": { "name": name, "uid": stream.metadata.uid },
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch_status(&name, &parameters, &Patch::Apply(&manifest)).await {
        Ok(written) => context.behind.note(&stream.metadata, &written.metadata),
        // It was deleted meanwhile.
        Err(kube::Error::Api(error)) if error.code == 404 => return Ok(()),
        Err(error) => return Err(StatusError(Box::new(error))),
    }
    events::tell(context, stream, status).await;
    Ok(())
}

#[cfg(test)]
mod tests;
