//! A broadcast's renditions and the tasks that carry what they make away.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use millrace_media::id::{RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{BroadcastInfo, PartInfo};
use millrace_media::record::Open;
use millrace_media::time::Ticks;
use millrace_media::timeline::Base;
use millrace_platform::report::report;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::SessionError;
use crate::config::Config;
use crate::format::{self, Format, RungFormat};
use crate::package::Grid;
use crate::publish::archive::{Archive, Note};
use crate::publish::lane::Lane;
use crate::publish::redis::{self, RedisOp};
use crate::publish::resume::{self, RenditionResume};
use crate::publish::store::{self, StoreOp};
use crate::rendition::{Rendition, RunContext, TooFar};
use crate::services::{Blind, Place, PublishError, Published, Services};

mod description;
mod end;
mod found;

pub use end::Leftover;

/// Notes that wait for the archive.
const NOTES: usize = 256;

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
        let mut outlet = Self::empty(services, info, archive, blind);
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
        let mut outlet = Self::empty(services, info.clone(), archive, published.blind);
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

    fn empty(services: &Services, info: BroadcastInfo, archive: Archive, blind: Blind) -> Self {
        let archive = if blind.index { archive.unread() } else { archive };
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

    /// Whether a picture at this moment can be listed: asked before an encoder
    /// is fed, whose end would hide why.
    pub(super) fn video_reaches(&self, at: Ticks) -> Result<(), TooFar> {
        self.videos.iter().try_for_each(|(_, rendition)| lock(rendition).reaches(at.0))
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

    /// Ends the part and segment each rendition has open of a base
    /// before a base with `next` discontinuities.
    pub(super) fn end_base(&mut self, next: u32) {
        for rendition in self.renditions() {
            lock(rendition).end_base(next);
        }
    }
}

fn names(format: &Format) -> Vec<RenditionName> {
    let rungs = format.rungs.iter().map(|rung| rung.name.clone());
    rungs.chain(format.audio.as_ref().map(|_| RenditionName::audio())).collect()
}
