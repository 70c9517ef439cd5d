//! What was found, judged: what the builders follow, and what it says of the
//! spec.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use millrace_platform::wall;

use crate::api::LiveStream;
use crate::api::transcode::Idle;
use crate::reconcile::build::circumstances::HostVerdict;
use crate::reconcile::build::{Circumstances, Transcoders};
use crate::reconcile::context::Context;
use crate::reconcile::dereference::Found;
use crate::reconcile::drains::Emptying;
use crate::reconcile::freeze::{ROLL, Rolling};
use crate::reconcile::hosts::{self, HostClaim, HostProblem};
use crate::reconcile::status::findings::LogView;
use crate::reconcile::status::{Verdict, table};
use crate::reconcile::validated::ValidatedStream;

/// Transcoders sleep this long after a broadcast's end: they have its last
/// segments to make.
pub(super) const LINGER: Duration = Duration::from_mins(1);

/// What the builders follow, and what it says of the spec.
pub(super) struct Judged {
    pub(super) facts: Circumstances,
    pub(super) accepted: Verdict,
    /// A Secret that the spec names is missing: it is looked for again soon,
    /// and the copy that may be there stays.
    pub(super) lacks_secret: bool,
    /// The node of the publisher's pod is being emptied.
    pub(super) drain: Option<Verdict>,
}

pub(super) fn circumstances(
    context: &Context,
    stream: &LiveStream,
    valid: &ValidatedStream,
    found: &Found,
) -> Judged {
    let usual = if valid.suspended { &table::SUSPENDED } else { &table::ACCEPTED };
    let mut accepted = Verdict::plain(usual);
    let mut host = HostVerdict::Granted;
    if let Some(claim) = HostClaim::of(stream)
        && let Err(problem) =
            hosts::check(&claim, &context.installation, &context.claims_to(&claim.host))
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
    let live = is_to_be_kept(stream, found);
    let drain = found.drain.as_ref().filter(|_| live && !valid.suspended);
    let drain = drain.map(|(node, emptying)| drain_of(context, stream, node, *emptying));
    let facts = Circumstances {
        live,
        draining: drain.as_ref().is_some_and(|drain| *drain.row() == table::INGEST_EVICTABLE),
        transcoders: transcoders(valid, found),
        finishing: valid.suspended && is_finishing(context, valid, found),
        rtmps_certificate: found.rtmps_certificate.clone(),
        playback_certificate: found.playback_certificate.clone(),
        host,
        held_protocol: None,
    };
    Judged { facts, accepted, lacks_secret: found.missing.is_some(), drain }
}

/// The ingest pod is to be kept while a broadcast is on. When nobody knows, it
/// stays as it is.
fn is_to_be_kept(stream: &LiveStream, found: &Found) -> bool {
    match found.log {
        LogView::Unknown => found.seen.is_kept().unwrap_or(true) || was_evictable(stream),
        _ => found.log.is_live(),
    }
}

/// Whether the pod of a publisher, on a node that is being emptied, may be
/// evicted.
fn drain_of(context: &Context, stream: &LiveStream, node: &str, emptying: Emptying) -> Verdict {
    let Emptying { since, told } = emptying;
    let due = emptying.is_due_at(context.drain_timeout);
    // What a process before this one has waited for is not waited for again.
    let waited = told.is_none() && was_evictable(stream);
    if waited || due <= Timestamp::now() {
        let why = format!(
            "Node {node} is being emptied: the pod may be evicted; its publisher has to connect \
             again."
        );
        return Verdict::of(&table::INGEST_EVICTABLE, why);
    }
    let why = format!(
        "Node {node} is being emptied since {since}; the pod is kept for its publisher until {due}."
    );
    Verdict::of(&table::INGEST_DRAINING, why)
}

/// By the last status, a drain had opened the budget.
fn was_evictable(stream: &LiveStream) -> bool {
    let row = &table::INGEST_EVICTABLE;
    let conditions = stream.status.iter().flat_map(|status| &status.conditions);
    let mut ingest = conditions.filter(|condition| condition.type_ == row.condition);
    ingest.any(|condition| condition.reason == row.reason)
}

/// The end of a suspended stream's broadcast is still to come, or came a moment
/// ago. One that does not come is not waited for longer than that.
fn is_finishing(context: &Context, valid: &ValidatedStream, found: &Found) -> bool {
    let is_waited_for = match found.log {
        LogView::Never => return false,
        LogView::Ended { ended_ms, .. } => return lingers(ended_ms),
        LogView::Open { .. } => true,
        LogView::Unknown => found.seen.transcoders() > 0,
    };
    is_waited_for && context.suspended.waited(valid.uid.as_str()) < LINGER
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

pub(super) fn lingers(ended_ms: i64) -> bool {
    let linger = i64::try_from(LINGER.as_millis()).unwrap_or_default();
    wall::ms() < ended_ms.saturating_add(linger)
}

/// Somebody asks for new pods at once.
pub(super) fn is_told_to_roll(stream: &LiveStream) -> bool {
    stream.annotations().get(ROLL).is_some_and(|value| value == "now")
}

pub(super) fn rolling(stream: &LiveStream, log: &LogView) -> Rolling {
    if is_told_to_roll(stream) || !log.may_be_live() { Rolling::Allowed } else { Rolling::Waits }
}
