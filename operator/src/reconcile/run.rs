//! One reconcile: the stages, one after the other.

mod judged;
mod pass;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use millrace_media::id::{InvalidId, StreamId};
use millrace_platform::report::report;
use rand::Rng;
use serde_json::json;
use tracing::warn;

use super::build;
use super::build::publish_keys_secret::StreamKeys;
use super::children::{self, possible};
use super::context::Context;
use super::dereference::{DereferenceError, dereference};
use super::external::outside::{self, Outside};
use super::finalize::{self, FinalizeError};
use super::freeze::{ROLL, freeze};
use super::prepared::Unprepared;
use super::retry_after;
use super::status::findings::{Findings, LogView};
use super::status::{self, StatusError, Verdict, table};
use super::validate::validate;
use super::validated::ValidatedStream;
use judged::{LINGER, circumstances, is_told_to_roll, lingers, rolling};
use pass::Pass;

use crate::api::LiveStream;
use crate::api::transcode::Idle;
pub use pass::Failure;

/// A stream is looked at again after this, changed or not: Secrets are not
/// watched.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// The same where certificates are copied from Secrets.
const LOOK_AGAIN_AT_SECRETS: Duration = Duration::from_mins(1);
/// What was refused is tried again after this.
const LOOK_AT_REFUSED: Duration = Duration::from_mins(2);

/// Why a stream is reconciled again soon.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// It has no name, namespace or UID, or one that can't be.
    #[error("LiveStream without an identity: {0}")]
    Identity(String),
    /// The finalizer can't be put on.
    #[error("can't put the finalizer on")]
    Hold(#[source] Box<kube::Error>),
    /// Being deleted.
    #[error(transparent)]
    Finalize(#[from] FinalizeError),
    /// Kubernetes can't be read.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// A key can't be made.
    #[error("can't make a publish key")]
    Key(#[from] InvalidId),
    /// A builder's mistake.
    #[error(transparent)]
    Unprepared(#[from] Unprepared),
    /// The status can't be written.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The annotation that replaces pods can't be taken off.
    #[error("can't take the annotation {ROLL} off")]
    Rolled(#[source] Box<kube::Error>),
    /// Stages failed; the status says so.
    #[error("{why}")]
    Incomplete {
        /// In sentences.
        why: String,
        /// For how long the API server asks not to be asked again.
        retry_after: Option<Duration>,
    },
}

impl ReconcileError {
    fn incomplete(failures: &[Failure]) -> Self {
        let texts: Vec<_> = failures.iter().map(|failure| failure.text.as_str()).collect();
        let retry_after = failures.iter().filter_map(|failure| failure.retry_after).max();
        Self::Incomplete { why: texts.join("; "), retry_after }
    }

    /// The stage, for metrics.
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Hold(_) | Self::Finalize(_) => "finalize",
            Self::Dereference(_) => "dereference",
            Self::Key(_) | Self::Unprepared(_) => "build",
            Self::Status(_) | Self::Rolled(_) => "status",
            Self::Incomplete { .. } => "external or apply",
        }
    }

    /// For how long the API server asks not to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Hold(error) | Self::Rolled(error) => retry_after::of(error),
            Self::Finalize(error) => error.retry_after(),
            Self::Dereference(error) => error.retry_after(),
            Self::Status(error) => error.retry_after(),
            Self::Incomplete { retry_after, .. } => *retry_after,
            Self::Identity(_) | Self::Key(_) | Self::Unprepared(_) => None,
        }
    }
}

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
    let held = finalize::hold(&context.client, &stream).await;
    held.map_err(|error| ReconcileError::Hold(Box::new(error)))?;

    let valid = match validate(&stream) {
        Ok(valid) => valid,
        Err(error) => return refuse(&context, &stream, &id, error.to_string()).await,
    };
    let found = dereference(&context, &valid).await?;
    let circumstances = circumstances(&context, &stream, &valid, &found);
    let mut built = build::children(&valid, &context.installation, &circumstances.facts);
    let mut pass = Pass {
        context: &context,
        stream: &stream,
        valid: &valid,
        found: &found,
        failures: Vec::new(),
    };

    let keys = pass.keys().await?;
    let secret_keys = keys.as_ref().ok().cloned().unwrap_or_default();
    let outside = match &keys {
        Ok(keys) => outside::apply(&context.external, &valid, keys).await,
        Err(_) => Outside::not_looked_at(),
    };
    pass.check_not_sent_away()?;
    pass.failures.extend(outside.failures.iter().cloned());
    let rolling = rolling(&stream, &found.log);
    for deployment in [&mut built.ingest, &mut built.transcode].into_iter().flatten() {
        let name = deployment.name_any();
        freeze(deployment, found.seen.deployment_named(&name), rolling);
    }
    let prepared = children::prepare(&built)?;
    let refused = pass.apply(&prepared).await?;
    pass.prune(&prepared, circumstances.lacks_secret).await?;

    let mut findings = pass.findings(&prepared, &built, &refused, &circumstances.facts);
    findings.accepted = circumstances.accepted;
    findings.note_drain(circumstances.drain);
    findings.keys = keys.map_or_else(|failed| failed, |_| outside.keys);
    findings.topics = outside.topics;
    findings.cache = outside.cache;
    let failures = pass.failures;
    write_status(&context, &stream, &findings).await?;
    if failures.is_empty() {
        rolled(&context, &stream).await?;
        let until = keys_change(&secret_keys);
        return Ok(Action::requeue(next_look(
            &valid,
            &findings,
            circumstances.lacks_secret,
            until,
        )));
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

/// Seconds until a key that was rotated away is no good any more.
fn keys_change(keys: &StreamKeys) -> Option<Duration> {
    let now = millrace_platform::wall::ms() / 1_000;
    let ends = keys.0.values().filter_map(|key| key.previous.as_ref());
    let next = ends.map(|previous| previous.until.saturating_sub(now)).min()?;
    Some(Duration::from_secs(u64::try_from(next).unwrap_or_default().saturating_add(1)))
}

/// The template that was asked for is in place: the next one waits again.
async fn rolled(context: &Context, stream: &LiveStream) -> Result<(), ReconcileError> {
    if !is_told_to_roll(stream) {
        return Ok(());
    }
    let api = Api::<LiveStream>::namespaced(
        context.client.clone(),
        &stream.namespace().unwrap_or_default(),
    );
    let merge = json!({ "metadata": { "annotations": { ROLL: null } } });
    match api
        .patch_metadata(&stream.name_any(), &PatchParams::default(), &Patch::Merge(&merge))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
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

/// When to look again though nothing happened.
fn next_look(
    valid: &ValidatedStream,
    findings: &Findings,
    lacks_secret: bool,
    keys_change: Option<Duration>,
) -> Duration {
    let usual = if valid.ingest.tls_secret.is_some() || valid.playback.host.is_some() {
        LOOK_AGAIN_AT_SECRETS
    } else {
        LOOK_AGAIN
    };
    let soon = lacks_secret.then_some(Duration::from_secs(30));
    let linger = match findings.log {
        LogView::Ended { ended_ms, .. }
            if valid.transcode.idle == Idle::ScaleToZero && lingers(ended_ms) =>
        {
            Some(LINGER)
        }
        _ => None,
    };
    let wait = [soon, linger, keys_change].into_iter().flatten().fold(usual, Duration::min);
    // So that streams that were made at once are not looked at at once for ever.
    wait.mul_f64(rand::rng().random_range(0.9..1.1))
}
