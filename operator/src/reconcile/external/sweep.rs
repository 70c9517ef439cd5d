//! Cleans up after LiveStreams that are gone: what has our installation and a
//! UID that is not found any more.
//!
//! What to do is decided without any server ([`decide`]); [`clean`] does it,
//! in an order in which it can be done again from the beginning at any time.
//! Before that go children in Kubernetes that were left behind ([`orphans`]),
//! or they would make outside again what is cleaned up. It is one process's
//! work, the leader's.

mod clean;
mod decide;
mod orphans;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use millrace_media::id::StreamId;
use millrace_platform::postgres::registry::Registration;
use millrace_platform::report::report;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{External, StepError};
use crate::reconcile::apply::ApplyError;
pub use decide::{Action, View, decide};
pub use orphans::Orphans;

/// Streams swept at once.
const SWEEPS: usize = 8;

/// When to sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// For how long a UID must not have been found.
    pub after: Duration,
    /// How often to look.
    pub every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { after: Duration::from_mins(10), every: Duration::from_secs(30) }
    }
}

/// What the watch of LiveStreams shows at this moment.
pub trait Presence: Send + Sync {
    /// All LiveStreams; none while they are not all known.
    fn view(&self) -> Option<View>;
    /// Whether there is one of this name; yes where that is not known.
    fn is_there(&self, stream: &StreamId) -> bool;
    /// Whether its namespace is watched: of others nothing is known.
    fn covers(&self, stream: &StreamId) -> bool {
        let _ = stream;
        true
    }
    /// These UIDs have something outside; of others nothing is to be remembered.
    fn registered(&self, uids: &HashSet<&str>) {
        let _ = uids;
    }
    /// UIDs of the LiveStreams, there or gone, that have children where the
    /// workers are.
    fn owners(&self) -> Vec<String> {
        Vec::new()
    }
    /// Delete these children of one.
    fn delete_children(&self, uid: &str) -> impl Future<Output = Result<(), ApplyError>> + Send {
        let _ = uid;
        std::future::ready(Ok(()))
    }
}

/// What one look did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Streams of which nothing is left.
    pub gone: Vec<StreamId>,
    /// Streams of which something is left, and why.
    pub left: Vec<(StreamId, StepError)>,
}

/// Looks until `stop`.
pub async fn run(
    outside: &External,
    presence: &impl Presence,
    pace: Pace,
    stop: &CancellationToken,
) {
    let mut orphans = Orphans::default();
    while stop.run_until_cancelled(tokio::time::sleep(pace.every)).await.is_some() {
        let children = Box::pin(sweep_children(presence, &mut orphans, pace.after));
        if stop.run_until_cancelled(children).await.is_none() {
            return;
        }
        let look = Box::pin(look(outside, presence, pace.after));
        let Some(done) = stop.run_until_cancelled(look).await else {
            return;
        };
        match done {
            Ok(swept) => {
                for (stream, error) in &swept.left {
                    warn!(%stream, reason = error.reason().as_str(),
                        "not swept yet: {}", report(error));
                }
            }
            Err(error) => warn!(reason = error.reason().as_str(), "no sweep: {}", report(&error)),
        }
    }
}

/// Deletes the children of LiveStreams that are gone for `after`.
pub async fn sweep_children(presence: &impl Presence, orphans: &mut Orphans, after: Duration) {
    let (owners, view) = (presence.owners(), presence.view());
    for uid in orphans.due(&owners, view.as_ref(), after, Instant::now()) {
        match presence.delete_children(&uid).await {
            Ok(()) => info!(uid, "children of a LiveStream that is gone are deleted"),
            Err(error) => warn!(uid, "children are not swept yet: {}", report(&error)),
        }
    }
}

/// Looks once, and sweeps what is due.
///
/// # Errors
/// When Postgres can't be asked; what can't be done for one stream is in
/// [`Swept::left`].
pub async fn look(
    outside: &External,
    presence: &impl Presence,
    after: Duration,
) -> Result<Swept, StepError> {
    let postgres = &outside.guards.postgres;
    // The rows first: whoever is registered after that is in no list.
    let mut rows = postgres.call(outside.registry.all()).await?;
    rows.retain(|row| presence.covers(&row.livestream.stream));
    presence.registered(&rows.iter().map(|row| row.livestream.uid.as_str()).collect());
    let view = presence.view();
    for row in rows.iter_mut().map(|row| &mut row.livestream) {
        // It may have been changed a moment before, or while Postgres was away.
        if let Some(keep) = view.as_ref().and_then(|view| view.keeps(&row.uid))
            && keep != row.keep
        {
            postgres.call(outside.registry.keep(&row.uid, keep)).await?;
            row.keep = keep;
        }
    }
    let (mut lost, mut found, mut due) = (Vec::new(), Vec::new(), Vec::new());
    for action in decide(&rows, view.as_ref(), after) {
        match action {
            Action::NoteAbsent(uid) => lost.push(uid),
            Action::NotePresent(uid) => found.push(uid),
            Action::Forget(livestream) => due.push((livestream, false)),
            Action::Sweep(livestream) => due.push((livestream, true)),
        }
    }
    if !lost.is_empty() {
        info!(?lost, "LiveStreams are gone");
        postgres.call(outside.registry.note_absent(&lost)).await?;
    }
    if !found.is_empty() {
        postgres.call(outside.registry.note_present(&found)).await?;
    }
    // What runs of a stream makes again what is cleaned up.
    let owners = presence.owners();
    due.retain(|(livestream, _)| !owners.contains(&livestream.uid));
    let mut swept = Swept::default();
    let mut all = futures::stream::iter(due)
        .map(|(livestream, whole)| one(outside, presence, livestream, whole))
        .buffer_unordered(SWEEPS);
    while let Some((stream, done)) = all.next().await {
        match done {
            Ok(true) => swept.gone.push(stream),
            Ok(false) => {}
            Err(error) => swept.left.push((stream, error)),
        }
    }
    Ok(swept)
}

/// Sweeps one, or only its row; says whether nothing is left of it.
async fn one(
    outside: &External,
    presence: &impl Presence,
    livestream: Registration,
    whole: bool,
) -> (StreamId, Result<bool, StepError>) {
    let stream = livestream.stream.clone();
    let _held = outside.begin_sweep(&stream);
    // One of this name may have come meanwhile: then it is for the next look.
    // From here on it waits.
    if whole && presence.is_there(&stream) {
        return (stream, Ok(false));
    }
    let done = async {
        if whole {
            clean::stream(outside, &livestream).await?;
        }
        clean::forget(outside, &livestream).await?;
        if whole {
            info!(%stream, uid = livestream.uid, keep = ?livestream.keep, "swept");
        }
        Ok(whole)
    };
    let done = done.await;
    (stream, done)
}
