//! A broadcast's renditions and the tasks that carry what they make away.

use millrace_platform::report::report;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{BroadcastInfo, PartInfo, RenditionInfo};
use millrace_media::record::Open;
use millrace_media::time::Ticks;
use millrace_media::timeline::{Base, Snapshot};
use millrace_platform::store::StoreError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::SessionError;
use crate::config::Config;
use crate::format::{self, Format, RungFormat};
use crate::package::Grid;
use crate::publish::archive::{Archive, Ending, Note};
use crate::publish::lane::Lane;
use crate::publish::redis::{self, RedisOp};
use crate::publish::resume::{self, RenditionResume};
use crate::publish::store::{self, StoreOp};
use crate::rendition::{Rendition, RunContext};
use crate::services::{Blind, Place, PublishError, Published, Services};

/// Notes that wait for the archive.
const NOTES: usize = 256;
/// How long the log waits, at the end of a broadcast, for Redis to take it.
const END_LIMIT: Duration = Duration::from_secs(3);
/// How often the lanes are looked at while they drain.
const LOOK: Duration = Duration::from_millis(20);

/// What is still to be stored of a broadcast that is over.
pub type Leftover = BoxFuture<'static, ()>;

/// A rendition that several tasks touch, never across an await.
pub(super) type Shared = Arc<Mutex<Rendition>>;

/// Locks a rendition; a panic elsewhere does not stop the others.
pub(super) fn lock(rendition: &Shared) -> MutexGuard<'_, Rendition> {
    rendition.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rendition's ways out: to Redis and to the object store.
type Lanes = (Arc<Lane<RedisOp>>, Arc<Lane<StoreOp>>);

/// See the module.
#[derive(Debug)]
pub(super) struct Outlet {
    services: Services,
    info: BroadcastInfo,
    videos: Vec<(RungFormat, Shared)>,
    audio: Option<Shared>,
    lanes: Vec<Lanes>,
    notes: mpsc::Sender<Note>,
    drains: JoinSet<()>,
    /// Why nothing more is published.
    stopped: Arc<OnceLock<PublishError>>,
    /// The description as published, once the encoder has told its codecs.
    announced: Arc<OnceLock<BroadcastInfo>>,
    announcing: bool,
    /// Opens the lanes to Redis: no part before the description.
    open: watch::Sender<bool>,
}

impl Outlet {
    /// For a broadcast of which nothing is published.
    pub(super) fn open(
        services: &Services,
        config: &Config,
        facts: &Open,
        format: &Format,
        blind: Blind,
    ) -> Self {
        let info = BroadcastInfo {
            stream: config.stream.clone(),
            broadcast: facts.broadcast,
            started_ms: facts.started_ms,
            segment_duration: config.segment,
            part_target: config.part_target,
            dvr_window: config.dvr_window,
            frame_rate: format.frame_rate,
            // Known once the encoder has told its codecs.
            renditions: format.audio.iter().map(format::audio_rendition).collect(),
            ended: false,
            access: config.access,
        };
        let mut head_info = info.clone();
        head_info.renditions.clear();
        let archive = Archive::new(services.clone(), Head::new(head_info, Run(0)), &names(format));
        let archive = if blind.index { archive.unread() } else { archive };
        let mut outlet = Self::empty(services, info, archive);
        for rung in &format.rungs {
            let rendition =
                outlet.rendition(&rung.name, 90_000, &RenditionResume::default(), Vec::new());
            outlet.videos.push((rung.clone(), rendition));
        }
        if let Some(audio) = &format.audio {
            let name = RenditionName::audio();
            let resume = RenditionResume::default();
            outlet.audio = Some(outlet.rendition(&name, audio.sample_rate(), &resume, Vec::new()));
        }
        outlet
    }

    /// For a broadcast that another process has begun.
    pub(super) async fn resume(
        services: &Services,
        config: &Config,
        info: BroadcastInfo,
        published: &Published,
    ) -> Result<Self, SessionError> {
        let head = published.head.clone().unwrap_or_else(|| Head::new(info.clone(), Run(0)));
        let names: Vec<_> = info.renditions.iter().map(|r| r.name.clone()).collect();
        let archive = Archive::new(services.clone(), head, &names);
        let archive = if published.blind.index { archive.unread() } else { archive };
        let mut outlet = Self::empty(services, info.clone(), archive);
        outlet.announcing = true;
        for rendition in &info.renditions {
            let entries = published.entries.get(&rendition.name).map_or(&[][..], Vec::as_slice);
            let plan = resume::plan(rendition, entries, published.head.as_ref());
            let shared = outlet.adopt(rendition, plan, published.blind).await?;
            match format::standing(rendition, &config.ladder) {
                Some(rung) => outlet.videos.push((rung, shared)),
                None => outlet.audio = Some(shared),
            }
        }
        let publish = outlet.publish_later();
        outlet.drains.spawn(publish.run(info));
        Ok(outlet)
    }

    fn empty(services: &Services, info: BroadcastInfo, archive: Archive) -> Self {
        let (notes, inbox) = mpsc::channel(NOTES);
        let mut drains = JoinSet::new();
        drains.spawn(archive.run(inbox));
        Self {
            services: services.clone(),
            info,
            videos: Vec::new(),
            audio: None,
            lanes: Vec::new(),
            notes,
            drains,
            stopped: Arc::default(),
            announced: Arc::default(),
            announcing: false,
            open: watch::Sender::new(false),
        }
    }

    /// A rendition found published: fetches its open parts, and sends on what
    /// one of the stores is missing.
    async fn adopt(
        &mut self,
        info: &RenditionInfo,
        mut plan: RenditionResume,
        blind: Blind,
    ) -> Result<Shared, SessionError> {
        let place = self.place(&info.name);
        let open = self.open_parts(&place, &plan.open).await?;
        if open.len() < plan.open.len() {
            tracing::warn!(rendition = %info.name, "the open segment is made again: parts are lost");
            plan.reopen();
        }
        let (mut unindexed, mut away) = (Vec::new(), blind.index);
        for segment in &plan.unindexed {
            let mut bytes = self.services.segment_in_redis(&place, segment).await?;
            if bytes.is_none() && !away {
                let stored = self.services.segment_in_store(&place, segment);
                bytes = match self.services.soon("read a segment", stored).await {
                    // Nor is it asked for the others: a viewer waits.
                    Err(PublishError::Store(error @ StoreError::Late { .. })) => {
                        tracing::warn!(
                            error = report(&error),
                            "what is not indexed yet counts as missing"
                        );
                        away = true;
                        None
                    }
                    stored => stored?,
                };
            }
            unindexed.push(StoreOp::Segment { info: segment.clone(), bytes });
        }
        let shared = self.rendition(&info.name, info.timescale, &plan, open);
        if let Some((redis, store)) = self.lanes.last() {
            for op in unindexed {
                store.push(op);
            }
            for segment in plan.unlisted {
                redis.push(RedisOp::Segment { info: segment, parts: Vec::new(), bytes: None });
            }
        }
        tracing::info!(rendition = %info.name, resume_at = ?plan.resume_at, "adopted");
        Ok(shared)
    }

    /// The bytes of the open parts; none if any is missing.
    async fn open_parts(
        &self,
        place: &Place,
        parts: &[PartInfo],
    ) -> Result<Vec<(PartInfo, Bytes)>, SessionError> {
        let mut open = Vec::new();
        for part in parts {
            let Some(bytes) = self.services.part(place, part).await? else { return Ok(Vec::new()) };
            open.push((part.clone(), bytes));
        }
        Ok(open)
    }

    /// Makes a rendition with its lanes and their tasks.
    fn rendition(
        &mut self,
        name: &RenditionName,
        timescale: u32,
        resume: &RenditionResume,
        open: Vec<(PartInfo, Bytes)>,
    ) -> Shared {
        let grid = Grid {
            timescale,
            segment: self.info.segment_duration,
            part_target: self.info.part_target,
        };
        let stored = store::limit(self.services.config.replay_window, grid.segment);
        let (to_redis, to_store) = (Arc::new(Lane::new(redis::LIMIT)), Arc::new(Lane::new(stored)));
        let place = self.place(name);
        let drain = redis::Drain {
            services: self.services.clone(),
            place: place.clone(),
            lane: to_redis.clone(),
            open: self.open.subscribe(),
            info: self.announced.clone(),
            read: resume.read,
            listed: resume.listed.clone(),
            open_parts: open.clone(),
        };
        let stopped = self.stopped.clone();
        self.drains.spawn(async move {
            if let Err(error) = drain.run().await {
                tracing::error!(error = report(&error), "nothing more is published");
                // Another rendition may have been first.
                let _ = stopped.set(error);
            }
        });
        let notes = self.notes.clone();
        self.drains.spawn(store::drain(self.services.clone(), place, to_store.clone(), notes));
        self.lanes.push((to_redis.clone(), to_store.clone()));
        Arc::new(Mutex::new(Rendition::new(name.clone(), grid, resume, open, to_redis, to_store)))
    }

    fn place(&self, rendition: &RenditionName) -> Place {
        Place { broadcast: self.info.broadcast, rendition: rendition.clone() }
    }

    /// What is known of the broadcast.
    pub(super) fn info(&self) -> &BroadcastInfo {
        &self.info
    }

    /// The rungs, lowest first.
    pub(super) fn videos(&self) -> &[(RungFormat, Shared)] {
        &self.videos
    }

    /// The audio rendition.
    pub(super) fn audio(&self) -> Option<&Shared> {
        self.audio.as_ref()
    }

    fn renditions(&self) -> impl Iterator<Item = &Shared> {
        self.videos.iter().map(|(_, rendition)| rendition).chain(self.audio.as_ref())
    }

    /// The first moment that some rung still wants; `None` if that is all.
    pub(super) fn video_resumes_at(&self) -> Option<Ticks> {
        let earliest = self.videos.iter().map(|(_, r)| lock(r).resume_at()).min()?;
        (earliest != i64::MIN).then_some(Ticks(earliest))
    }

    /// Whether some rendition has a segment open of a base before `next`.
    pub(super) fn is_open_before(&self, next: u32) -> bool {
        self.renditions().any(|r| lock(r).is_open_before(next))
    }

    /// Fails when another writer has the stream.
    pub(super) fn check(&self) -> Result<(), SessionError> {
        let broadcast = self.info.broadcast;
        match self.stopped.get() {
            None => Ok(()),
            Some(PublishError::Stale { rendition, .. }) => {
                Err(PublishError::Stale { broadcast, rendition: rendition.clone() }.into())
            }
            Some(_) => Err(PublishError::Fenced { broadcast }.into()),
        }
    }

    /// Tells the archive; a full queue waits, a closed one is at its end. Places
    /// to restart at leave half of it free: what is live waits for none of them,
    /// and without one a replay is longer, no more.
    pub(super) async fn note(&self, note: Note) {
        if matches!(note, Note::Candidate(_)) && self.notes.capacity() < NOTES / 2 {
            return;
        }
        let _ = self.notes.send(note).await;
    }

    /// Samples from here on are this run's.
    pub(super) async fn begin_run(&mut self, run: Run, base: Base) {
        self.note(Note::Run(run)).await;
        for rendition in self.renditions() {
            lock(rendition).begin_run(RunContext { run, base });
        }
    }

    /// Publishes the broadcast's description once every rung has told its
    /// codecs.
    pub(super) fn announce(&mut self, codecs: Vec<oneshot::Receiver<String>>) {
        if std::mem::replace(&mut self.announcing, true) {
            return;
        }
        let rungs: Vec<_> = self.videos.iter().map(|(format, _)| format.clone()).collect();
        let mut info = self.info.clone();
        let audio = std::mem::take(&mut info.renditions);
        let publish = self.publish_later();
        self.drains.spawn(async move {
            for (rung, codecs) in rungs.iter().zip(codecs) {
                // An encoder that ends before it began is reported elsewhere.
                let Ok(codecs) = codecs.await else { return };
                let segment = info.segment_duration;
                info.renditions.push(format::video_rendition(rung, codecs, segment));
            }
            info.renditions.extend(audio);
            publish.run(info).await;
        });
    }

    fn publish_later(&self) -> PublishInfo {
        PublishInfo {
            services: self.services.clone(),
            announced: self.announced.clone(),
            notes: self.notes.clone(),
            open: self.open.clone(),
            stopped: self.stopped.clone(),
        }
    }

    /// Ends the part and segment each rendition has open of a base
    /// before a base with `next` discontinuities.
    pub(super) fn end_base(&mut self, next: u32) {
        for rendition in self.renditions() {
            lock(rendition).end_base(next);
        }
    }

    /// The broadcast is over: gets everything out to viewers. The future that
    /// is left tells Redis, should it not have taken the end soon, and meanwhile
    /// waits for the object store, then commits `offset`: the index says that it
    /// is over, so nothing waits for Redis.
    ///
    /// # Errors
    /// When another writer has the stream.
    pub(super) async fn end(
        self,
        offset: i64,
        snapshot: Option<Snapshot>,
    ) -> Result<Leftover, SessionError> {
        let ends: Vec<_> = self
            .renditions()
            .map(|rendition| {
                let mut rendition = lock(rendition);
                rendition.end_base(u32::MAX);
                (rendition.name().clone(), rendition.next_msn())
            })
            .collect();
        for (redis, store) in &self.lanes {
            redis.close();
            store.close();
        }
        let told = match tokio::time::timeout(END_LIMIT, self.tell(&ends)).await {
            Ok(told) => told.map(|()| true)?,
            Err(_) => false,
        };
        self.services.leave(self.info.broadcast);
        Ok(Box::pin(async move {
            let redis = async {
                if !told {
                    self.tell_late(&ends).await;
                }
            };
            tokio::join!(redis, self.store_rest(offset, snapshot));
        }))
    }

    /// Waits until the object store has everything, then commits.
    async fn store_rest(&self, offset: i64, snapshot: Option<Snapshot>) {
        while self.lanes.iter().any(|(_, store)| store.depth().0 > 0) {
            tokio::time::sleep(LOOK).await;
        }
        let (done, finished) = oneshot::channel();
        self.note(Note::End(Ending { offset, snapshot: snapshot.map(Box::new), done })).await;
        let _ = finished.await;
        self.services.bring_away(self.info.broadcast);
    }

    /// Waits until Redis has everything, then tells it that this is all. Once a
    /// later broadcast is written, what is left is of no use to viewers.
    async fn tell(&self, ends: &[(RenditionName, Msn)]) -> Result<(), SessionError> {
        let broadcast = self.info.broadcast;
        while self.lanes.iter().any(|(redis, _)| redis.depth().0 > 0) {
            if self.services.is_followed(broadcast) {
                tracing::warn!(%broadcast, "the next broadcast tells viewers of the end");
                return Ok(());
            }
            self.check()?;
            tokio::time::sleep(LOOK).await;
        }
        self.publish_end(ends).await
    }

    /// The same with a Redis that is away, until it is back.
    async fn tell_late(&self, ends: &[(RenditionName, Msn)]) {
        let broadcast = self.info.broadcast;
        // Of what was never described nobody knows.
        if self.announced.get().is_none() {
            return;
        }
        tracing::warn!(%broadcast, "Redis is told of the end when it is back");
        if let Err(error) = self.tell(ends).await {
            tracing::error!(%broadcast, error = report(&error), "the end is not told");
        }
    }

    /// Tells Redis that all is out; tries until it is told, a later broadcast has
    /// taken this one's place, or another writer has the stream.
    async fn publish_end(&self, ends: &[(RenditionName, Msn)]) -> Result<(), SessionError> {
        let Some(info) = self.announced.get() else { return Ok(()) };
        let broadcast = self.info.broadcast;
        let mut backoff = redis::live_backoff();
        loop {
            let error = match self.services.publish_end(info, ends).await {
                Ok(()) => {
                    tracing::info!(%broadcast, "Redis was told of the end");
                    return Ok(());
                }
                // Not before: the lease is the later one's.
                Err(PublishError::LeaseLost) if !self.services.is_followed(broadcast) => {
                    match self.services.reclaim(broadcast).await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match error {
                PublishError::Fenced { .. } => return Err(error.into()),
                PublishError::Superseded { .. } | PublishError::NoRun => return Ok(()),
                _ if self.services.is_followed(broadcast) => {
                    tracing::warn!(%broadcast, error = report(&error), "the next broadcast tells viewers of the end");
                    return Ok(());
                }
                _ => {}
            }
            let wait = backoff.next_delay();
            tracing::warn!(error = report(&error), ?wait, "the end is not told yet");
            tokio::time::sleep(wait).await;
        }
    }
}

/// Publishes a broadcast's description, then opens the lanes.
struct PublishInfo {
    services: Services,
    announced: Arc<OnceLock<BroadcastInfo>>,
    notes: mpsc::Sender<Note>,
    open: watch::Sender<bool>,
    stopped: Arc<OnceLock<PublishError>>,
}

impl PublishInfo {
    async fn run(self, info: BroadcastInfo) {
        let _ = self.announced.set(info.clone());
        // The durable description does not wait for Redis.
        let _ = self.notes.send(Note::Info(info.clone())).await;
        let mut backoff = redis::live_backoff();
        loop {
            let error = match self.services.put_broadcast(&info).await {
                Ok(()) => break,
                Err(PublishError::LeaseLost) => match self.services.reclaim(info.broadcast).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            match error {
                PublishError::Fenced { .. } => {
                    let _ = self.stopped.set(error);
                    return;
                }
                // Redis takes none of it: the lanes let go what they have.
                PublishError::Superseded { .. } => break,
                _ => {}
            }
            let wait = backoff.next_delay();
            if !matches!(error, PublishError::NoRun) {
                tracing::warn!(error = report(&error), ?wait, "the broadcast is not described yet");
            }
            tokio::time::sleep(wait).await;
        }
        self.open.send_replace(true);
    }
}

fn names(format: &Format) -> Vec<RenditionName> {
    let rungs = format.rungs.iter().map(|rung| rung.name.clone());
    rungs.chain(format.audio.as_ref().map(|_| RenditionName::audio())).collect()
}
