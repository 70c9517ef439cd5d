//! What the viewers' and the administrators' handlers share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::hls::{Reach, Window};
use millrace_media::id::{BroadcastId, Msn, RenditionName, StreamId};
use millrace_media::published::MediaName;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::cdn::Cdn;
use super::problem::Problem;
use crate::access::Access;
use crate::archive::Archive;
use crate::audience::Audience;
use crate::audience::proxies::Proxies;
use crate::fetch::{Fetch, NoMedia};
use crate::live::playlist::Playlist;
use crate::live::snapshot::Snapshot;
use crate::live::streams::{Followed, NotFollowed, Streams};
use crate::live::view::View;
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::socket::hub::Sockets;

/// A broadcast that another replica shows is noticed here within this time.
const NEWS: Duration = Duration::from_secs(3);

/// What all requests share. A clone is one pointer: every layer of a route
/// makes one for each request.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Delivery>);

impl Deref for Shared {
    type Target = Delivery;
    fn deref(&self) -> &Delivery {
        &self.0
    }
}

impl From<Delivery> for Shared {
    fn from(delivery: Delivery) -> Self {
        Self(Arc::new(delivery))
    }
}

/// All that answers are made with.
#[derive(Debug)]
pub struct Delivery {
    /// Redis and the object store.
    pub origin: Origin,
    /// Followed streams.
    pub streams: Streams,
    /// Broadcasts before the current one.
    pub archive: Archive,
    /// Media.
    pub fetch: Fetch,
    /// Who watches.
    pub audience: Audience,
    /// Who listens to what happens.
    pub sockets: Sockets,
    /// Whose word for a client's address is believed.
    pub proxies: Proxies,
    /// Who may watch what is not for everybody.
    pub access: Access,
    /// Who is in front of us.
    pub cdn: Cdn,
    /// What is counted.
    pub metrics: Metrics,
    /// Places for blocked requests.
    pub waiters: Arc<Semaphore>,
}

/// What a request asks to be published: a segment, whole or up to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The segment.
    pub msn: Msn,
    /// The part; the whole segment if none.
    pub part: Option<u32>,
}

impl Want {
    /// What must be published before this piece of media can be there.
    pub fn of(name: &MediaName) -> Option<Self> {
        match name {
            MediaName::Segment { msn, .. } => Some(Self { msn: *msn, part: None }),
            MediaName::Part { msn, part, .. } => Some(Self { msn: *msn, part: Some(*part) }),
            MediaName::Init(_) => None,
        }
    }
}

/// A broadcast as a request finds it.
#[derive(Debug)]
pub enum Found {
    /// It is followed.
    Followed(Followed),
    /// It is over and read from the object store.
    Archived(Arc<View>),
}

impl Found {
    /// The broadcast as it is now; none if it has gone meanwhile.
    pub fn view(&self, broadcast: BroadcastId) -> Option<Arc<View>> {
        match self {
            Self::Followed(followed) => followed.now().view(broadcast).cloned(),
            Self::Archived(view) => Some(Arc::clone(view)),
        }
    }
}

impl Shared {
    /// The stream's snapshots, followed from now on.
    pub async fn follow(&self, stream: &StreamId) -> Result<Followed, Problem> {
        self.streams.follow(stream).await.map_err(|why| match why {
            NotFollowed::Absent => Problem::NoStream(stream.clone()),
            NotFollowed::Full => Problem::Busy("streams"),
            NotFollowed::Behind => Problem::Behind,
        })
    }

    /// The broadcast, followed or from the archive. One newer than ours may
    /// be known to another replica already: it is waited for.
    pub async fn find(&self, stream: &StreamId, broadcast: BroadcastId) -> Result<Found, Problem> {
        let mut followed = self.follow(stream).await?;
        // By the time in its id alone, which is no secret: who guesses at the
        // rest must not be told whether a guess is too high.
        let is_newer = |now: &Snapshot| broadcast.made_ms() > now.current.broadcast().made_ms();
        if is_newer(&followed.now()) {
            let _place = self.place()?;
            let known = |now: &Arc<Snapshot>| !is_newer(now);
            // Not known in time: it is none, and 404 says so below.
            let _ = await_change(&mut followed.snapshots, NEWS, known).await;
        }
        let now = followed.now();
        if now.view(broadcast).is_some() {
            return Ok(Found::Followed(followed));
        }
        let none = || Problem::NoBroadcast(stream.clone(), broadcast);
        if is_newer(&now) {
            return Err(none());
        }
        match self.archive.get(stream, broadcast).await {
            Ok(view) => Ok(Found::Archived(view)),
            Err(NoMedia::Absent) => Err(none()),
            Err(NoMedia::Behind) => Err(Problem::Behind),
        }
    }

    /// A place among those that wait.
    pub(super) fn place(&self) -> Result<Place, Problem> {
        let waiters = Arc::clone(&self.waiters).try_acquire_owned();
        let permit = waiters.map_err(|_| Problem::Busy("waiting requests"))?;
        let waiters = self.metrics.waiters.clone();
        waiters.inc();
        Ok(Place { waiters, _permit: permit })
    }

    /// A view of the broadcast in which `want` is published, or anything if
    /// none; waited for up to three target durations.
    pub async fn wait_for(
        &self,
        found: Found,
        broadcast: BroadcastId,
        rendition: &RenditionName,
        want: Option<Want>,
    ) -> Result<Arc<View>, Problem> {
        let mut followed = match found {
            Found::Archived(view) => return Ok(view),
            Found::Followed(followed) => followed,
        };
        let gone = || Problem::NoRendition(broadcast, rendition.clone());
        let view = followed.now().view(broadcast).cloned().ok_or_else(gone)?;
        let window = view.window(rendition).ok_or_else(gone)?;
        // Players take a list of nothing for an error.
        let something = Want { msn: Msn(0), part: Some(0) };
        let Some(want) = want.or(window.is_empty().then_some(something)) else {
            return Ok(view);
        };
        match window.reach(want.msn, want.part) {
            Reach::Available => return Ok(view),
            Reach::TooFar => return Err(Problem::TooFarAhead(want.msn.0)),
            Reach::Later => {}
        }
        let _place = self.place()?;
        let is_ready = |snapshot: &Arc<Snapshot>| {
            let window = snapshot.view(broadcast).and_then(|view| view.window(rendition));
            window.is_none_or(|w| w.reach(want.msn, want.part) == Reach::Available)
        };
        let snapshot = await_change(&mut followed.snapshots, time_out(window), is_ready).await?;
        snapshot.view(broadcast).cloned().ok_or_else(gone)
    }

    /// The DASH manifest of the broadcast, and the view that it is of. While
    /// nothing is published it is waited for, up to three target
    /// durations.
    pub async fn manifest(
        &self,
        found: Found,
        stream: &StreamId,
        broadcast: BroadcastId,
    ) -> Result<(Playlist, Arc<View>), Problem> {
        let written = |view: &View| view.manifest(|| _ = self.metrics.renders.inc());
        let none = || Problem::NoBroadcast(stream.clone(), broadcast);
        let (mut followed, view) = match found {
            Found::Archived(view) => (None, view),
            Found::Followed(followed) => {
                let view = followed.now().view(broadcast).cloned().ok_or_else(none)?;
                (Some(followed), view)
            }
        };
        let waits = followed.as_mut().filter(|_| !view.has_ended() && written(&view).is_none());
        let view = match waits {
            None => view,
            Some(followed) => {
                let _place = self.place()?;
                let is_ready = |snapshot: &Arc<Snapshot>| {
                    let view = snapshot.view(broadcast);
                    view.is_none_or(|view| view.has_ended() || written(view).is_some())
                };
                let patience = view.windows().map(|(_, window)| time_out(window)).max();
                let patience = patience.unwrap_or_default();
                let snapshot = await_change(&mut followed.snapshots, patience, is_ready).await?;
                snapshot.view(broadcast).cloned().ok_or_else(none)?
            }
        };
        Ok((written(&view).ok_or_else(none)?, view))
    }
}

/// Three target durations (RFC 8216bis §6.2.5.2).
pub(super) fn time_out(window: &Window) -> Duration {
    let seconds = u64::try_from(window.target_duration()).unwrap_or_default();
    Duration::from_secs(seconds.clamp(1, 20).saturating_mul(3))
}

pub(super) async fn await_change(
    snapshots: &mut watch::Receiver<Arc<Snapshot>>,
    time_out: Duration,
    is_ready: impl FnMut(&Arc<Snapshot>) -> bool,
) -> Result<Arc<Snapshot>, Problem> {
    match tokio::time::timeout(time_out, snapshots.wait_for(is_ready)).await {
        Ok(Ok(snapshot)) => Ok(Arc::clone(&snapshot)),
        // The follower ends with the process.
        Ok(Err(_)) => Err(Problem::Behind),
        Err(_) => Err(Problem::TimedOut),
    }
}

/// A place among those that wait, counted for as long as it lives, also when
/// its client goes away.
#[derive(Debug)]
pub(super) struct Place {
    waiters: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiters.dec();
    }
}
