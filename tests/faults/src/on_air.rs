//! One broadcast: somebody publishes, somebody records every byte that is offered.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Result, ensure};
use millrace_harness::http::{Http, eventually};
use millrace_harness::playlist::Multivariant;
use millrace_harness::process::Child;
use millrace_harness::recorder::{Mode, Recorder, Report};
use millrace_harness::rtmp::client::Target;
use millrace_harness::viewer::Viewer;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::announced::Announced;
use crate::arena::Arena;
use crate::before::Before;
use crate::ear::Ear;
use crate::front;
use crate::liar::{self, Plant};
use crate::log::{Log, Logged};
use crate::publisher::{Broadcaster, Size};
use crate::told::Told;
use crate::truth::Truth;

/// How long a start, and an end, may take before it counts as none.
const PATIENCE: Duration = Duration::from_mins(1);
/// Before an answer that failed is asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// A running broadcast.
pub(crate) struct OnAir<'a> {
    arena: &'a Arena,
    broadcaster: Broadcaster,
    recorder: Recorder,
    log: Log,
    ear: Ear,
    told: Told,
    /// Its id.
    broadcast: String,
    _between: Between,
}

/// What is to stand between delivery and whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// A proxy that plants this bug.
    Liar(Plant),
    /// A second delivery, and what goes to either.
    Replica,
}

/// It, running.
enum Between {
    Nothing,
    Liar(Before),
    /// Before two replicas, of which one is our own.
    Front {
        front: Before,
        _replica: Box<Child>,
    },
}

impl Between {
    async fn start(arena: &Arena, beside: Beside) -> Result<Self> {
        let index = &arena.stack.endpoints().hls;
        match beside {
            Beside::Nothing => return Ok(Self::Nothing),
            Beside::Liar(plant) => {
                return Ok(Self::Liar(liar::start(plant, &arena.http, index).await?));
            }
            Beside::Replica => {}
        }
        let (mut replica, address) = arena.stack.start_replica()?;
        eventually("a second delivery", PATIENCE, async || {
            replica.check()?;
            Ok(TcpStream::connect(address).await?)
        })
        .await?;
        let front = front::start(&arena.http, index, format!("http://{address}")).await?;
        Ok(Self::Front { front, _replica: Box::new(replica) })
    }

    /// The multivariant playlist as the recorder and the viewer see it.
    fn indexes(&self, direct: &str) -> (String, String) {
        match self {
            Self::Nothing => (direct.to_owned(), direct.to_owned()),
            // The viewer is to say when it goes on, whatever is planted.
            Self::Liar(liar) => (liar.index.clone(), direct.to_owned()),
            Self::Front { front, .. } => (front.index.clone(), front.index.clone()),
        }
    }
}

/// A broadcast that is over.
pub(crate) struct Over {
    pub(crate) truth: Truth,
    pub(crate) logged: Logged,
    pub(crate) report: Report,
    /// When the publisher was told to end.
    pub(crate) at: Instant,
    pub(crate) announced: Announced,
    /// What every broadcast is to announce, and this one did not.
    pub(crate) unannounced: Option<String>,
}

impl<'a> OnAir<'a> {
    /// Publishes, and records from the first part on, with what the fault needs beside; and somebody
    /// who watches. The first message has this stamp.
    ///
    /// # Errors
    /// When no new broadcast begins.
    pub(crate) async fn begin(
        arena: &'a Arena,
        beside: Beside,
        stamp_ms: i64,
    ) -> Result<(Self, Watcher)> {
        let (http, to) = (&arena.http, arena.stack.endpoints());
        let between = Between::start(arena, beside).await?;
        let (offered, watched) = between.indexes(&to.hls);
        // Until the new one has begun, the last one's is offered.
        let last = variant(http, &to.hls).await.ok();
        let log = Log::open(&arena.kafka, &arena.topic).await?;
        let told = Told::open(&arena.kafka, &arena.events).await?;
        let ear = Ear::open(http, &arena.stack).await?;
        let target = Target { url: to.rtmp.clone(), name: to.key.clone() };
        let broadcaster =
            Broadcaster::begin(target, &arena.materials, (arena.setup.source, stamp_ms)).await?;
        let recorder = eventually("a broadcast to record", PATIENCE, async || {
            broadcaster.check()?;
            ensure!(last != Some(variant(http, &to.hls).await?), "the last one is still offered");
            Recorder::start(http, &offered, Mode::LowLatency, true).await
        })
        .await?;
        let viewer =
            eventually("a viewer", PATIENCE, async || Viewer::join(http, &watched).await).await?;
        let variant = variant(http, &to.hls).await?;
        let on_air = Self {
            arena,
            broadcaster,
            recorder,
            log,
            ear,
            told,
            broadcast: variant.split('/').next().unwrap_or_default().to_owned(),
            _between: between,
        };
        Ok((on_air, Watcher { viewer }))
    }

    /// The log, as far as it was read.
    pub(crate) fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Who publishes.
    pub(crate) fn broadcaster(&mut self) -> &mut Broadcaster {
        &mut self.broadcaster
    }

    /// What Millrace says of itself from now on counts.
    pub(crate) async fn listen(&mut self) {
        self.ear.begin(&self.arena.stack).await;
    }

    /// Waits until the publisher has lost its connection, and publishes again.
    ///
    /// # Errors
    /// When it goes on, or is refused again and again.
    pub(crate) async fn reconnect(&mut self) -> Result<()> {
        self.broadcaster.lost().await?;
        self.broadcaster.again(Size::Wide).await
    }

    /// Ends the publish in order and waits for the end of everything.
    ///
    /// # Errors
    /// When what was sent or what the log has cannot be told.
    pub(crate) async fn finish(mut self) -> Result<Over> {
        let at = Instant::now();
        let shots = self.broadcaster.close().await?;
        let report = self.recorder.at_most(PATIENCE).await?;
        self.log.read().await?;
        let mut announced = self.ear.heard(&self.arena.stack).await;
        announced.events = self.told.read(self.broadcast).await?;
        let unannounced = announced.take_usual();
        let logged = Logged { pictures: self.log.numbers().await?, sounds: self.log.sounds() };
        Ok(Over { truth: Truth::of(&shots), logged, report, at, announced, unannounced })
    }
}

/// Somebody who follows the edge, by whom a trial goes on.
pub(crate) struct Watcher {
    viewer: Viewer,
}

impl Watcher {
    /// Waits until so much more video has appeared.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn watch(&mut self, wanted: Duration) -> Result<()> {
        self.viewer.watch(wanted, PATIENCE).await
    }

    /// Follows the stream, as far as it goes, while something is done to it. How much less video
    /// has appeared than that took, and may be late.
    ///
    /// # Errors
    /// When it is not done.
    pub(crate) async fn beside<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, Duration)> {
        let (begun, before) = (Instant::now(), self.viewer.seen());
        let done = tokio::select! {
            done = work => done?,
            never = self.follow() => match never {},
        };
        let seen = self.viewer.seen().saturating_sub(before);
        Ok((done, begun.elapsed().saturating_sub(seen)))
    }

    async fn follow(&mut self) -> Infallible {
        loop {
            if self.viewer.next().await.is_err() {
                sleep(AGAIN).await;
            }
        }
    }
}

/// The playlist of the first variant: another one for each broadcast.
async fn variant(http: &Http, index: &str) -> Result<String> {
    let playlist = Multivariant::parse(&http.text(index).await?)?;
    Ok(playlist.variants.first().map(|variant| variant.uri.clone()).unwrap_or_default())
}
