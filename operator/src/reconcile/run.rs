//! One reconcile: the stages, one after the other.

mod error;
mod judged;
mod next_look;
mod pass;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use millrace_media::id::StreamId;
use millrace_platform::report::report;
use serde_json::json;
use tracing::warn;

use super::build::publish_keys_secret::StreamKeys;
use super::build::{self, Children};
use super::children::{self, possible};
use super::context::Context;
use super::dereference::dereference;
use super::external::outside::{self, Outside};
use super::finalize;
use super::freeze::{ROLL, freeze, is_rolled};
use super::seen::Seen;
use super::status::findings::Findings;
use super::status::{self, StatusError, Verdict, table};
use super::validate::validate;
use judged::{circumstances, is_told_to_roll, rolling};
use next_look::{next_look, scattered};
use pass::Pass;

use crate::api::LiveStream;
pub use error::ReconcileError;
pub use pass::Failure;

/// One that was changed meanwhile is looked at again after this.
const LOOK_AT_CHANGED: Duration = Duration::from_secs(1);
/// What was refused is tried again after this.
const LOOK_AT_REFUSED: Duration = Duration::from_mins(2);

/// Bring everything of one stream to what its spec says.
pub async fn reconcile(
    stream: Arc<LiveStream>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let id = identity(&stream)?;
    if stream.metadata.deletion_timestamp.is_some() {
        if finalize::is_held(stream.as_ref()) {
            end(&context, &stream, &id).await?;
        }
        context.live.forget(&id);
        return Ok(Action::await_change());
    }
    if stream.status.is_none() && context.seen.get(&stream.uid().unwrap_or_default()).is_empty() {
        // Nothing was ever made of it, a pod that could publish least of all.
        context.live.logs.watch_empty(id.clone());
    } else {
        context.live.logs.watch(id.clone());
    }
    let held = finalize::hold(&context, &stream).await;
    held.map_err(|error| ReconcileError::Hold(Box::new(error)))?;

    let valid = match validate(&stream) {
        Ok(valid) => valid,
        Err(error) => return refuse(&context, &stream, &id, error.to_string()).await,
    };
    let now_s = millrace_platform::wall::ms() / 1_000;
    let known = context.keys_known.get(&stream, now_s);
    let found = dereference(&context, &valid, known.is_some()).await?;
    let mut circumstances = circumstances(&context, &stream, &valid, &found);
    let mut built = build::children(&valid, &context.installation, &circumstances.facts);
    let mut pass = Pass {
        context: &context,
        stream: &stream,
        valid: &valid,
        found: &found,
        failures: Vec::new(),
    };

    let keys = pass.keys(known.is_some()).await?;
    let outside = match &keys {
        Ok(keys) => outside::apply(&context.external, &valid, keys.as_ref()).await,
        Err(_) => Outside::not_looked_at(),
    };
    pass.check_not_sent_away()?;
    pass.failures.extend(outside.failures.iter().cloned());
    let keys_end = match (known, &keys) {
        (Some(known), _) => known.ends,
        (None, Ok(Some(keys))) => first_end(keys),
        _ => None,
    };
    if known.is_none() && *outside.keys.row() == table::KEYS_READY {
        context.keys_known.note(&stream, keys_end);
    }
    let rolling = rolling(&stream, &found.log);
    for deployment in [&mut built.ingest, &mut built.transcode].into_iter().flatten() {
        let name = deployment.name_any();
        freeze(deployment, found.seen.deployment_named(&name), rolling);
    }
    // Known only when it is known which template waits.
    let facts = &mut circumstances.facts;
    facts.held_protocol = pass.held_protocol(&built);
    built.ingest_service = build::ingest_service::build(&valid, &context.installation, facts);
    let prepared = children::prepare(&built)?;
    let refused = pass.apply(&prepared).await?;
    pass.prune(&prepared, &circumstances).await?;
    pass.end_broadcast().await;

    let mut findings = pass.findings(&prepared, &built, &refused, &circumstances.facts);
    findings.accepted = circumstances.accepted.clone();
    findings.note_drain(circumstances.drain.clone());
    findings.keys = keys.map_or_else(|failed| failed, |_| outside.keys);
    findings.topics = outside.topics;
    findings.cache = outside.cache;
    let failures = pass.failures;
    let is_rolled = is_told_to_roll(&stream) && is_newest(&built, &found.seen);
    let is_changed = is_rolled && !rolled(&context, &stream).await?;
    write_status(&context, &stream, &findings).await?;
    if is_changed {
        return Ok(Action::requeue(LOOK_AT_CHANGED));
    }
    if failures.is_empty() {
        let until = keys_end.map(|ends| until_after(ends, now_s));
        let next = next_look(&valid, &findings.log, &circumstances, until);
        return Ok(Action::requeue(scattered(next)));
    }
    if failures.iter().any(|failure| failure.is_transient) {
        return Err(ReconcileError::incomplete(&failures));
    }
    // Trying again does not help, but somebody may mend it outside the spec.
    for failure in &failures {
        warn!(stream = %id, why = failure.text, "refused");
    }
    Ok(Action::requeue(LOOK_AT_REFUSED))
}

/// When the first key that was rotated away is no good any more, s since 1970.
fn first_end(keys: &StreamKeys) -> Option<i64> {
    keys.0.values().filter_map(|key| Some(key.previous.as_ref()?.until)).min()
}

fn until_after(end: i64, now: i64) -> Duration {
    let seconds = u64::try_from(end.saturating_sub(now)).unwrap_or_default();
    Duration::from_secs(seconds.saturating_add(1))
}

/// The watches show every Deployment of the stream with its newest template:
/// what was only written might be paused again by what is seen of it.
fn is_newest(built: &Children, seen: &Seen) -> bool {
    let mut all = [&built.ingest, &built.transcode].into_iter().flatten();
    all.all(|one| is_rolled(one, seen.deployment_named(&one.name_any())))
}

/// The template that was asked for is in place: the next one waits again. False
/// if the LiveStream is another by now, which may ask for one more.
async fn rolled(context: &Context, stream: &LiveStream) -> Result<bool, ReconcileError> {
    let api = Api::<LiveStream>::namespaced(
        context.client.clone(),
        &stream.namespace().unwrap_or_default(),
    );
    let version = &stream.metadata.resource_version;
    let merge =
        json!({ "metadata": { "annotations": { ROLL: null }, "resourceVersion": version } });
    match api
        .patch_metadata(&stream.name_any(), &PatchParams::default(), &Patch::Merge(&merge))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(ReconcileError::Rolled(Box::new(error))),
    }
}

fn identity(stream: &LiveStream) -> Result<StreamId, ReconcileError> {
    let namespace = stream.namespace().unwrap_or_default();
    StreamId::new(&namespace, &stream.name_any())
        .map_err(|error| ReconcileError::Identity(error.to_string()))
}

/// Delete what it has, and say so if that takes longer than a moment.
async fn end(context: &Context, stream: &LiveStream, id: &StreamId) -> Result<(), ReconcileError> {
    let known = possible(id, &context.installation);
    let Err(error) = finalize::finalize(context, stream, &known).await else {
        context.note_deleted(stream);
        return Ok(());
    };
    // Somebody changed it meanwhile, which is no news; or nothing is to be written now.
    if error.is_conflict() || error.retry_after().is_some() {
        return Err(error.into());
    }
    let why = report(&error);
    let mut findings =
        Findings::refused(Verdict::of(&table::DELETING, why), context.live.logs.get(id).into());
    findings.terminating = true;
    write_status(context, stream, &findings).await?;
    Err(error.into())
}

/// A spec that can't be met: what runs stays, and nothing is tried until the
/// spec changes.
async fn refuse(
    context: &Context,
    stream: &LiveStream,
    id: &StreamId,
    why: String,
) -> Result<Action, ReconcileError> {
    let log = context.live.logs.get(id).into();
    let mut findings = Findings::refused(Verdict::of(&table::INVALID_SPEC, why), log);
    // What runs can still be watched.
    findings.endpoints = stream.status.as_ref().and_then(|status| status.endpoints.clone());
    write_status(context, stream, &findings).await?;
    Ok(Action::await_change())
}

async fn write_status(
    context: &Context,
    stream: &LiveStream,
    findings: &Findings,
) -> Result<(), StatusError> {
    let generation = stream.metadata.generation.unwrap_or_default();
    let now = Time(Timestamp::now());
    let new = status::status(findings, generation, stream.status.as_ref(), &now);
    status::write(context, stream, &new).await
}
