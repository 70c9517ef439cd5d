//! The body of a segment that grows: its parts as they are published, then its
//! end. It holds a place among the requests that wait while it waits, not while
//! its client takes what there is, and no bytes.

use std::sync::Arc;

use axum::extract::MatchedPath;
use bytes::Bytes;
use futures::stream::{self, Stream};
use millrace_media::hls::Moment;
use millrace_media::published::{MediaName, PartInfo, SegmentInfo};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::state::{Shared, await_change, time_out};
use super::timed::Timed;
use crate::fetch::NoMedia;
use crate::live::snapshot::Snapshot;
use crate::live::streams::Followed;
use crate::metrics::RouteLabels;

/// Why a body breaks off. The client sees a connection that ended early, and
/// asks again.
#[derive(Debug, thiserror::Error)]
pub enum BrokenOff {
    /// The next part did not come in time, or the process ends.
    #[error("segment {0} does not go on")]
    Stalled(Timed, #[source] Problem),
    /// A part or the segment can't be read.
    #[error("segment {0} can't be read")]
    Unread(Timed, #[source] NoMedia),
    /// It does not begin with the parts that were sent: they were lost, and it
    /// was made again.
    #[error("segment {0} became another one")]
    MadeAgain(Timed),
}

/// See the module.
#[derive(Debug)]
pub struct Growing {
    shared: Shared,
    timed: Timed,
    followed: Followed,
    route: Option<MatchedPath>,
    sent: Sent,
    done: bool,
}

/// What has been sent.
#[derive(Debug, Default)]
struct Sent {
    parts: usize,
    bytes: usize,
    digest: Sha256,
}

/// What comes next.
enum Next {
    Part(PartInfo),
    Whole(SegmentInfo),
}

impl Growing {
    /// Of a segment that grows.
    pub fn new(
        shared: &Shared,
        timed: Timed,
        followed: Followed,
        route: Option<MatchedPath>,
    ) -> Result<Self, Problem> {
        // Refused before it begins where none could wait.
        drop(shared.place()?);
        let (shared, sent) = (shared.clone(), Sent::default());
        Ok(Self { shared, timed, followed, route, sent, done: false })
    }

    /// Its bytes.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
        stream::try_unfold(self, |mut growing| async move {
            let bytes = growing.read().await.inspect_err(|error| {
                tracing::debug!(%error, "a growing segment breaks off");
            })?;
            Ok(bytes.map(|bytes| (bytes, growing)))
        })
    }

    async fn read(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        if self.done {
            return Ok(None);
        }
        let bytes = match self.next().await? {
            Next::Part(PartInfo { msn, part, run, .. }) => {
                let bytes = self.fetch(MediaName::Part { msn, part, run }).await?;
                self.sent.parts += 1;
                self.sent.bytes = self.sent.bytes.saturating_add(bytes.len());
                self.sent.digest.update(&bytes);
                Some(bytes)
            }
            Next::Whole(segment) => {
                self.done = true;
                self.rest(&segment).await?
            }
        };
        if let Some(bytes) = &bytes {
            self.count(bytes);
        }
        Ok(bytes)
    }

    /// Waits until there is more than was sent, or an end.
    async fn next(&mut self) -> Result<Next, BrokenOff> {
        let (timed, count) = (self.timed.clone(), self.sent.parts);
        let next = |snapshot: &Snapshot| match timed.moment_in(snapshot) {
            Moment::Growing(parts) => parts.get(count).cloned().map(Next::Part).ok_or(true),
            Moment::Whole(segment) => Ok(Next::Whole(segment.clone())),
            Moment::Later | Moment::Never => Err(false),
        };
        let stalled = |problem| BrokenOff::Stalled(timed.clone(), problem);
        let now = self.followed.now();
        let view = now.view(timed.broadcast);
        let window = view.and_then(|view| view.window(&timed.rendition));
        let patience = window.map(time_out).unwrap_or_default();
        let has_next = |snapshot: &Arc<Snapshot>| !matches!(next(snapshot), Err(true));
        let place = self.shared.place().map_err(stalled)?;
        let now = await_change(&mut self.followed.snapshots, patience, has_next).await;
        drop(place);
        let now = now.map_err(stalled)?;
        next(&now).map_err(|_| stalled(Problem::NoSegment(timed.name)))
    }

    /// What the segment has beyond what was sent.
    async fn rest(&self, segment: &SegmentInfo) -> Result<Option<Bytes>, BrokenOff> {
        let sent = self.sent.bytes;
        if u64::try_from(sent) == Ok(segment.bytes) {
            return Ok(None);
        }
        let SegmentInfo { msn, run, .. } = *segment;
        let whole = self.fetch(MediaName::Segment { msn, run }).await?;
        let digest = self.sent.digest.clone().finalize();
        if whole.get(..sent).is_none_or(|head| Sha256::digest(head) != digest) {
            return Err(BrokenOff::MadeAgain(self.timed.clone()));
        }
        Ok(Some(whole.slice(sent..)))
    }

    async fn fetch(&self, name: MediaName) -> Result<Bytes, BrokenOff> {
        let found = self.shared.fetch.get(&self.timed.key(name)).await;
        found.map_err(|error| BrokenOff::Unread(self.timed.clone(), error))
    }

    /// Counts what is sent; the middleware counts bodies whose length is known.
    fn count(&self, bytes: &Bytes) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(route) = self.route.as_ref().map(|path| path.as_str().to_owned()) {
            self.shared.metrics.bytes.get_or_create(&RouteLabels { route }).inc_by(length);
        }
        self.shared.audience.sent(&self.timed.stream, &self.timed.rendition, length);
    }
}
