//! One reconcile: the stages, one after the other.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use millrace_media::id::{InvalidId, StreamId};
use rand::Rng;
use serde_json::json;
use tracing::warn;

use super::apply::ApplyError;
use super::build::circumstances::HostVerdict;
use super::build::publish_keys_secret::{self, StreamKeys};
use super::build::{self, Children, Circumstances, Transcoders};
use super::children::{self, possible};
use super::context::Context;
use super::dereference::{DereferenceError, Found, dereference};
use super::endpoints::endpoints;
use super::external::events;
use super::external::outside::{self, Outside};
use super::finalize::{self, FinalizeError};
use super::freeze::{ROLL, Rolling, freeze, waits};
use super::hosts::{self, HostClaim, HostProblem};
use super::kind::Kind;
use super::prepared::{Prepared, Unprepared};
use super::status::findings::{Findings, INGEST, LogView, TRANSCODE};
use super::status::{self, StatusError, Verdict, table};
use super::validate::validate;
use super::validated::ValidatedStream;
use super::{prune, publish_keys};
use crate::api::LiveStream;
use crate::api::transcode::Idle;

/// A stream is looked at again after this, changed or not: Secrets are not
/// watched.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// The same where certificates are copied from Secrets.
const LOOK_AGAIN_AT_SECRETS: Duration = Duration::from_mins(1);
/// What was refused is tried again after this.
const LOOK_AT_REFUSED: Duration = Duration::from_mins(2);
/// Transcoders sleep this long after a broadcast's end: they have its last
/// segments to make.
const LINGER: Duration = Duration::from_mins(1);

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
    #[error("{0}")]
    Incomplete(String),
}

impl ReconcileError {
    /// The stage, for metrics.
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Hold(_) | Self::Finalize(_) => "finalize",
            Self::Dereference(_) => "dereference",
            Self::Key(_) | Self::Unprepared(_) => "build",
            Self::Status(_) | Self::Rolled(_) => "status",
            Self::Incomplete(_) => "external or apply",
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
        if finalize::is_held(&stream) {
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
    pass.failures.extend(outside.failures.iter().cloned());
    if outside.is_new {
        pass.tell().await;
    }
    let rolling = rolling(&stream, &found.log);
    for deployment in [&mut built.ingest, &mut built.transcode].into_iter().flatten() {
        let name = deployment.name_any();
        freeze(deployment, found.seen.deployment_named(&name), rolling);
    }
    let prepared = children::prepare(&built)?;
    let refused = pass.apply(&prepared).await;
    pass.prune(&prepared, &circumstances.leave).await;

    let mut findings = pass.findings(&prepared, &built, &refused, &circumstances.facts);
    findings.accepted = circumstances.accepted;
    findings.keys = keys.map_or_else(|failed| failed, |_| outside.keys);
    findings.topics = outside.topics;
    findings.cache = outside.cache;
    let failures = pass.failures;
    write_status(&context, &stream, &findings).await?;
    if failures.is_empty() {
        rolled(&context, &stream).await?;
        let until = keys_change(&secret_keys);
        return Ok(Action::requeue(next_look(&valid, &findings, circumstances.retry, until)));
    }
    if failures.iter().any(|failure| failure.is_transient) {
        let texts: Vec<_> = failures.into_iter().map(|failure| failure.text).collect();
        return Err(ReconcileError::Incomplete(texts.join("; ")));
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
    if !stream.annotations().contains_key(ROLL) {
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
    let Err(error) = finalize::finalize(context, stream, &known).await else { return Ok(()) };
    let why = chain(&error);
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

/// What the builders follow, and what it says of the spec.
struct Judged {
    facts: Circumstances,
    accepted: Verdict,
    /// Kinds that are not pruned, because what they are made from is missing.
    leave: Vec<Kind>,
    /// Looked for again soon.
    retry: bool,
}

fn circumstances(
    context: &Context,
    stream: &LiveStream,
    valid: &ValidatedStream,
    found: &Found,
) -> Judged {
    let usual = if valid.suspended { &table::SUSPENDED } else { &table::ACCEPTED };
    let mut accepted = Verdict::plain(usual);
    let mut host = HostVerdict::Granted;
    if let Some(claim) = HostClaim::of(stream)
        && let Err(problem) = hosts::check(&claim, &context.installation, &context.host_claims())
    {
        let row = match problem {
            HostProblem::HostTaken { .. } => &table::HOST_TAKEN,
            HostProblem::HostNotAllowed { .. } => &table::HOST_NOT_ALLOWED,
        };
        accepted = Verdict::of(row, problem.to_string());
        host = HostVerdict::Refused;
    }
    if let Some(missing) = &found.missing {
        accepted = Verdict::of(&table::SECRET_MISSING, missing.clone());
    }
    let facts = Circumstances {
        live: is_to_be_kept(found),
        transcoders: transcoders(valid, found),
        rtmps_certificate: found.rtmps_certificate.clone(),
        playback_certificate: found.playback_certificate.clone(),
        host,
        ..Circumstances::default()
    };
    Judged {
        facts,
        accepted,
        leave: found.missing.iter().map(|_| Kind::Secret).collect(),
        retry: found.missing.is_some(),
    }
}

/// The ingest pod is to be kept while a broadcast is on. When nobody knows, it
/// stays as it is.
fn is_to_be_kept(found: &Found) -> bool {
    match found.log {
        LogView::Unknown => found.seen.is_kept().unwrap_or(true),
        _ => found.log.is_live(),
    }
}

/// With scale to zero: wanted while there is a broadcast, and a little longer.
fn transcoders(valid: &ValidatedStream, found: &Found) -> Transcoders {
    let awake = match (valid.transcode.idle, found.busy) {
        (Idle::AlwaysOn, _) | (_, Some(true)) => true,
        (_, Some(false)) => {
            matches!(found.log, LogView::Ended { ended_ms, .. } if lingers(ended_ms))
        }
        // Nobody knows: as it is.
        (_, None) => found.seen.transcoders() > 0,
    };
    if awake { Transcoders::Wanted } else { Transcoders::Asleep }
}

fn lingers(ended_ms: i64) -> bool {
    let linger = i64::try_from(LINGER.as_millis()).unwrap_or_default();
    millrace_platform::wall::ms() < ended_ms.saturating_add(linger)
}

fn rolling(stream: &LiveStream, log: &LogView) -> Rolling {
    let told = stream.annotations().get(ROLL).is_some_and(|value| value == "now");
    if told || !log.may_be_live() { Rolling::Allowed } else { Rolling::Waits }
}

/// The stages that write, and what failed in them.
struct Pass<'a> {
    context: &'a Context,
    stream: &'a LiveStream,
    valid: &'a ValidatedStream,
    found: &'a Found,
    failures: Vec<Failure>,
}

/// What failed in a stage.
#[derive(Debug, Clone)]
pub struct Failure {
    /// In a sentence.
    pub text: String,
    /// Another try may work without anybody changing anything.
    pub is_transient: bool,
}

impl From<&ApplyError> for Failure {
    fn from(error: &ApplyError) -> Self {
        Self { text: chain(error), is_transient: !error.is_refusal() }
    }
}

fn had_keys(stream: &LiveStream) -> bool {
    let conditions = stream.status.iter().flat_map(|status| &status.conditions);
    let mut keys = conditions.filter(|condition| condition.type_ == table::KEYS_READY.condition);
    keys.any(|condition| condition.status == table::KEYS_READY.status)
}

/// The parts of a stream that the API server refused, with its words.
#[derive(Debug, Default)]
struct Refused(Vec<ApplyError>);

impl Refused {
    /// What concerns children whose names end in one of these.
    fn of(&self, roles: &[&str]) -> Option<String> {
        let concerns = |error: &&ApplyError| {
            roles.iter().any(|role| error.child.name.ends_with(&format!("-{role}")))
        };
        self.0.iter().find(concerns).map(|error| chain(error))
    }
}

impl Pass<'_> {
    /// The publish keys, in the Secret by now.
    async fn keys(&mut self) -> Result<Result<StreamKeys, Verdict>, ReconcileError> {
        let now = millrace_platform::wall::ms() / 1_000;
        let keys =
            publish_keys::desired(&self.valid.keys, &self.found.keys(), now, &mut rand::rng())?;
        let secret = publish_keys_secret::build(self.valid, &keys);
        let prepared = Prepared::typed(Kind::Secret, &secret)?;
        let applier = &self.context.applier;
        match applier.apply_unwatched(&prepared, self.found.keys_secret.as_ref()).await {
            Ok(_) => {
                if self.found.keys_secret.is_none() && had_keys(self.stream) {
                    status::events::secret_lost(self.context, self.stream).await;
                }
                Ok(Ok(keys))
            }
            Err(error) => {
                self.failures.push(Failure::from(&error));
                Ok(Err(Verdict::of(&table::KEYS_SECRET_FAILED, chain(&error))))
            }
        }
    }

    /// Tell that the stream is there. Without Postgres it is told never: that
    /// is known then, for the register would not be written either.
    async fn tell(&mut self) {
        if let Err(error) = events::provisioned(&self.context.external, self.valid).await {
            warn!(stream = %self.valid.id, error = error.message(), "StreamProvisioned is not told");
        }
    }

    async fn apply(&mut self, prepared: &[Prepared]) -> Refused {
        let mut refused = Refused::default();
        for child in prepared {
            let applier = &self.context.applier;
            let done = if child.id.kind == Kind::Secret {
                match applier.get(&child.id).await {
                    Ok(live) => applier.apply_unwatched(child, live.as_ref()).await,
                    Err(error) => Err(error),
                }
            } else {
                let seen = self.found.seen.children.get(&child.id);
                let is_shared = child.id.namespace == self.context.installation.workers_namespace;
                applier.apply(child, seen.map(|seen| &seen.mark), is_shared).await
            };
            if let Err(error) = done {
                self.failures.push(Failure::from(&error));
                refused.0.push(error);
            }
        }
        refused
    }

    /// What is seen of the stream and was not built.
    async fn prune(&mut self, prepared: &[Prepared], leave: &[Kind]) {
        let wanted = children::names_of(prepared);
        for (child, seen) in &self.found.seen.children {
            if wanted.contains(child) || leave.contains(&child.kind) {
                continue;
            }
            let deleted = prune::delete(&self.context.applier, child, &seen.uid).await;
            if let Err(error) = deleted {
                self.failures.push(Failure::from(&error));
            }
        }
        // Secrets are not seen. A stream that has no status yet never had any.
        if leave.contains(&Kind::Secret) || self.stream.status.is_none() {
            return;
        }
        let applier = &self.context.applier;
        for child in children::certificates(&self.valid.id, &self.context.installation) {
            if wanted.contains(&child) || applier.is_absent(&child) {
                continue;
            }
            let uid = self.valid.uid.as_str();
            if let Err(error) = prune::delete_if_ours(applier, &child, uid).await {
                self.failures.push(Failure::from(&error));
            }
        }
    }

    fn findings(
        &self,
        prepared: &[Prepared],
        built: &Children,
        refused: &Refused,
        facts: &Circumstances,
    ) -> Findings {
        let seen = &self.found.seen;
        let mut findings =
            Findings::refused(Verdict::plain(&table::ACCEPTED), self.found.log.clone());
        findings.suspended = self.valid.suspended;
        findings.figures = self.found.figures;
        let service = children::find(prepared, Kind::Service, "ingest");
        let address = service.and_then(|child| seen.service(&child).cloned()).unwrap_or_default();
        let endpoints = endpoints(self.valid, &self.context.installation, facts, &address);
        let deployment = |component| {
            let child = children::find(prepared, Kind::Deployment, component)?;
            seen.deployment(&child)
        };
        findings.ingest = match refused.of(&["ingest", "rtmp", "rtmps-tls"]) {
            Some(why) => Verdict::of(&table::INGEST_NOT_APPLIED, why),
            None if self.valid.suspended => Verdict::plain(&table::INGEST_SUSPENDED),
            None if endpoints.rtmp.is_none() => Verdict::plain(&table::INGEST_NO_ADDRESS),
            None => INGEST.verdict(deployment("ingest"), seen),
        };
        findings.transcode = match refused.of(&["transcode"]) {
            Some(why) => Verdict::of(&table::TRANSCODE_NOT_APPLIED, why),
            None if self.valid.suspended => Verdict::plain(&table::TRANSCODE_SUSPENDED),
            None => match deployment("transcode") {
                Some(facts) if facts.wanted == 0 => Verdict::plain(&table::TRANSCODE_ASLEEP),
                facts => TRANSCODE.verdict(facts, seen),
            },
        };
        findings.playback = match refused.of(&["playback", "play-tls"]) {
            Some(why) => Verdict::of(&table::PLAYBACK_NOT_APPLIED, why),
            None => Verdict::plain(&table::PLAYBACK_READY),
        };
        findings.update_pending =
            [&built.ingest, &built.transcode].into_iter().flatten().any(waits);
        findings.endpoints = Some(endpoints);
        findings
    }
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
    retry: bool,
    keys_change: Option<Duration>,
) -> Duration {
    let usual = if valid.ingest.tls_secret.is_some() || valid.playback.host.is_some() {
        LOOK_AGAIN_AT_SECRETS
    } else {
        LOOK_AGAIN
    };
    let soon = retry.then_some(Duration::from_secs(30));
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

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
