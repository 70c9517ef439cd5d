//! The stages that write, and what failed in them.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use millrace_media::published::Access;
use millrace_platform::report::report;
use millrace_platform::wall;

use super::ReconcileError;
use super::judged::Judged;
use crate::api::LiveStream;
use crate::api::ingest::{Protocol, ServiceType};
use crate::reconcile::apply::ApplyError;
use crate::reconcile::build::certificate_secret::Purpose;
use crate::reconcile::build::publish_keys_secret::{self, StreamKeys};
use crate::reconcile::build::{Children, Circumstances, names};
use crate::reconcile::children;
use crate::reconcile::context::Context;
use crate::reconcile::dereference::Found;
use crate::reconcile::endpoints::endpoints;
use crate::reconcile::external::live::Seen;
use crate::reconcile::external::{StepError, ending};
use crate::reconcile::freeze::waits;
use crate::reconcile::kind::Kind;
use crate::reconcile::prepared::Prepared;
use crate::reconcile::status::findings::{Findings, INGEST, TRANSCODE};
use crate::reconcile::status::{self, Verdict, table};
use crate::reconcile::validated::ValidatedStream;
use crate::reconcile::{prune, publish_keys};

/// What a suspended stream's transcoders still do.
const FINISHING: &str =
    "Taken off by spec.suspend, once it has written the end of the broadcast for its viewers.";

/// The stages that write, and what failed in them.
pub(super) struct Pass<'a> {
    pub(super) context: &'a Context,
    pub(super) stream: &'a LiveStream,
    pub(super) valid: &'a ValidatedStream,
    pub(super) found: &'a Found,
    pub(super) failures: Vec<Failure>,
}

/// What failed in a stage.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The stage, for metrics.
    pub stage: &'static str,
    /// In a sentence.
    pub text: String,
    /// Another try may work without anybody changing anything.
    pub is_transient: bool,
    /// For how long the API server asks not to be asked again.
    pub retry_after: Option<Duration>,
}

impl From<&ApplyError> for Failure {
    fn from(error: &ApplyError) -> Self {
        Self {
            stage: "apply",
            text: report(error),
            is_transient: !error.is_refusal(),
            retry_after: error.retry_after(),
        }
    }
}

impl From<&StepError> for Failure {
    fn from(error: &StepError) -> Self {
        Self {
            stage: "external",
            text: error.message(),
            is_transient: error.is_transient(),
            retry_after: None,
        }
    }
}

fn had_keys(stream: &LiveStream) -> bool {
    let conditions = stream.status.iter().flat_map(|status| &status.conditions);
    let mut keys = conditions.filter(|condition| condition.type_ == table::KEYS_READY.condition);
    keys.any(|condition| condition.status == table::KEYS_READY.status)
}

/// The parts of a stream that the API server refused, with its words.
#[derive(Debug, Default)]
pub(super) struct Refused(Vec<ApplyError>);

impl Refused {
    /// What concerns children whose names end in one of these.
    fn of(&self, roles: &[&str]) -> Option<String> {
        let concerns = |error: &&ApplyError| {
            roles.iter().any(|role| error.child.name.ends_with(&format!("-{role}")))
        };
        self.0.iter().find(concerns).map(|error| report(error))
    }
}

impl Pass<'_> {
    /// The publish keys, in the Secret by now; none if that is known of them.
    pub(super) async fn keys(
        &mut self,
        known: bool,
    ) -> Result<Result<Option<StreamKeys>, Verdict>, ReconcileError> {
        if known {
            return Ok(Ok(None));
        }
        let now = wall::ms() / 1_000;
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
                Ok(Ok(Some(keys)))
            }
            Err(error) => {
                self.failures.push(Failure::from(&error));
                Ok(Err(Verdict::of(&table::KEYS_SECRET_FAILED, report(&error))))
            }
        }
    }

    /// Once the API server has sent the stream away it is asked nothing more.
    pub(super) fn check_not_sent_away(&self) -> Result<(), ReconcileError> {
        if self.failures.iter().any(|failure| failure.retry_after.is_some()) {
            return Err(ReconcileError::incomplete(&self.failures));
        }
        Ok(())
    }

    fn fail(&mut self, error: &ApplyError) -> Result<(), ReconcileError> {
        self.failures.push(Failure::from(error));
        self.check_not_sent_away()
    }

    pub(super) async fn apply(&mut self, prepared: &[Prepared]) -> Result<Refused, ReconcileError> {
        let mut refused = Refused::default();
        for child in prepared {
            let seen = self.found.seen.children.get(&child.id).map(|seen| &seen.mark);
            let workers = &self.context.installation.workers_namespace;
            // Secrets are not watched, and so looked at each time.
            let is_surely_ours = child.id.kind != Kind::Secret && child.id.namespace == *workers;
            let done = self.context.applier.apply(child, seen, is_surely_ours).await;
            if let Err(error) = done {
                self.fail(&error)?;
                refused.0.push(error);
            }
        }
        Ok(refused)
    }

    /// What publishers were offered last, while the pod of the broadcast that is
    /// on keeps an older template: it knows nothing else.
    pub(super) fn held_protocol(&self, built: &Children) -> Option<Protocol> {
        built.ingest.as_ref().filter(|ingest| waits(ingest))?;
        let told = self.stream.status.as_ref().and_then(|status| status.endpoints.as_ref());
        let scheme = told.and_then(|told| told.rtmp.as_ref()?.split_once("://")).map(|all| all.0);
        // No address was ever known where a balancer gave none.
        let service = self.found.seen.service_named(&built.ingest_service.name_any());
        scheme.and_then(Protocol::of).or_else(|| service?.protocol)
    }

    /// What is seen of the stream and was not built.
    pub(super) async fn prune(
        &mut self,
        prepared: &[Prepared],
        judged: &Judged,
    ) -> Result<(), ReconcileError> {
        let wanted = children::names_of(prepared);
        for (child, seen) in self.found.seen.children.iter() {
            if wanted.contains(child) {
                continue;
            }
            let deleted = prune::delete(&self.context.applier, child, &seen.uid).await;
            if let Err(error) = deleted {
                self.fail(&error)?;
            }
        }
        // Secrets are not seen.
        if judged.lacks_secret {
            return Ok(());
        }
        let applier = &self.context.applier;
        let is_held = judged.facts.held_protocol == Some(Protocol::Rtmps);
        let rtmps = names::child(&self.valid.id, Purpose::Rtmps.component());
        for child in children::certificates(&self.valid.id, &self.context.installation) {
            if wanted.contains(&child) || applier.is_absent(&child) {
                continue;
            }
            // The pod that waits for its broadcast's end has it mounted.
            if is_held && child.name == rtmps {
                continue;
            }
            // It never had any.
            if self.stream.status.is_none() && self.stream.metadata.generation == Some(1) {
                applier.forget(&child);
                continue;
            }
            let uid = self.valid.uid.as_str();
            if let Err(error) = prune::delete_if_ours(applier, &child, uid).await {
                self.fail(&error)?;
            }
        }
        Ok(())
    }

    /// A suspended stream has no ingest that would end what it has open. Done
    /// before its transcoders go, which write the end down for viewers.
    pub(super) async fn end_broadcast(&mut self) {
        if !self.valid.suspended {
            return self.context.suspended.forget(self.valid.uid.as_str());
        }
        let Seen::Known { broadcast: Some(broadcast), .. } =
            self.context.live.logs.get(&self.valid.id)
        else {
            return;
        };
        if let Err(error) = ending::end(&self.context.external, &self.valid.id, &broadcast).await {
            self.failures.push(Failure::from(&error));
        }
    }

    pub(super) fn findings(
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
        findings.rungs.clone_from(&self.found.rungs);
        let service = children::find(prepared, Kind::Service, INGEST.component);
        let address = service.and_then(|child| seen.service(&child).cloned()).unwrap_or_default();
        let endpoints = endpoints(self.valid, &self.context.installation, facts, &address);
        let deployment = |component| {
            let child = children::find(prepared, Kind::Deployment, component)?;
            seen.deployment(&child)
        };
        let now = Timestamp::now();
        findings.ingest = match refused.of(&[INGEST.component, "rtmp", "rtmps-tls"]) {
            Some(why) => Verdict::of(&table::INGEST_NOT_APPLIED, why),
            None if self.valid.suspended => Verdict::plain(&table::INGEST_SUSPENDED),
            None if self.lacks_external_host() => Verdict::plain(&table::INGEST_NO_HOST),
            None if endpoints.rtmp.is_none() => Verdict::plain(&table::INGEST_NO_ADDRESS),
            None => INGEST.verdict(deployment(INGEST.component), seen, now),
        };
        findings.transcode = match refused.of(&[TRANSCODE.component]) {
            Some(why) => Verdict::of(&table::TRANSCODE_NOT_APPLIED, why),
            None if facts.finishing => Verdict::of(&table::TRANSCODE_SUSPENDED, FINISHING),
            None if self.valid.suspended => Verdict::plain(&table::TRANSCODE_SUSPENDED),
            None => match deployment(TRANSCODE.component) {
                Some(facts) if facts.wanted == 0 => Verdict::plain(&table::TRANSCODE_ASLEEP),
                facts => TRANSCODE.verdict(facts, seen, now),
            },
        };
        findings.playback = match refused.of(&["playback", "play-tls"]) {
            Some(why) => Verdict::of(&table::PLAYBACK_NOT_APPLIED, why),
            None if self.lacks_keys() => Verdict::plain(&table::PLAYBACK_NO_KEYS),
            None if endpoints.hls.is_none() => Verdict::plain(&table::PLAYBACK_NOT_EXPOSED),
            None => Verdict::plain(&table::PLAYBACK_READY),
        };
        let mut deployments = [&built.ingest, &built.transcode].into_iter().flatten();
        let waits = deployments.any(waits);
        findings.update =
            Verdict::plain(match refused.of(&[INGEST.component, TRANSCODE.component]) {
                Some(_) => &table::UPDATE_UNKNOWN,
                None if waits => &table::UPDATE_PENDING,
                None => &table::UPDATE_NONE,
            });
        findings.endpoints = Some(endpoints);
        findings
    }

    /// Nobody knows under which name nodes are reached.
    fn lacks_external_host(&self) -> bool {
        let ports = self.valid.ingest.service_type == ServiceType::NodePort;
        ports && self.context.installation.external_host.is_none()
    }

    /// Viewers need tokens that nobody could check.
    fn lacks_keys(&self) -> bool {
        let closed = self.valid.playback.access == Access::Token;
        closed && !self.context.installation.playback_keys
    }
}
