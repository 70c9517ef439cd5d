//! One transcoder, from its start to its death, an act at a time: what
//! `session` does, over the real fold, renditions, lanes and checkpoints.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use millrace_media::aac::silent_frame;
use millrace_media::id::{RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{Entry, RenditionInfo};
use millrace_media::record::Record;
use millrace_media::time::Ticks;
use millrace_media::timeline::{
    AudioData, AudioFrame, Base, Event, Snapshot, Timeline, VideoFrame,
};
use millrace_transcode::package::{Grid, Sample};
use millrace_transcode::publish::checkpoint::Candidate;
use millrace_transcode::publish::lane::{Lane, Limit};
use millrace_transcode::publish::redis::RedisOp;
use millrace_transcode::publish::resume::{self, RenditionResume};
use millrace_transcode::publish::store::StoreOp;
use millrace_transcode::rendition::{Rendition, RunContext};

use crate::archive::{Archive, Note};
use crate::encoder::Encoder;
use crate::lane::{Stopped, ToRedis};
use crate::world::{Answer, Token, World};
use crate::{PART_TARGET, SEGMENT, info, init, log};

pub(crate) struct Process {
    pub(crate) token: Token,
    sound: bool,
    records: Box<dyn Iterator<Item = (i64, i64, Record)>>,
    timeline: Timeline,
    /// What the fold said and the session has not taken.
    first: Vec<Event>,
    session: Option<Session>,
    pub(crate) finished: bool,
}

struct Session {
    token: Token,
    renditions: Vec<Out>,
    archive: Archive,
    base: Option<Base>,
    run: Option<Run>,
    /// The run whose lease this process writes with: the last it claimed.
    lease: Option<Run>,
    /// The index as it was read.
    found: Option<Head>,
    encoder: Option<Encoder>,
    gop: Vec<VideoFrame>,
    pictures: usize,
    /// The description is out.
    described: bool,
    ending: Option<(i64, Option<Snapshot>)>,
    /// Viewers know of the end.
    ended: bool,
    /// The index did before.
    over: bool,
}

struct Out {
    info: RenditionInfo,
    rendition: Rendition,
    to_redis: ToRedis,
    to_store: Arc<Lane<StoreOp>>,
}

/// Which pictures, if they are keyframes, a run's stamps are worn at.
const WORN: usize = 5;

/// Pictures' rungs come first.
fn is_sound(info: &RenditionInfo) -> bool {
    info.name == RenditionName::audio()
}

impl Process {
    pub(crate) fn start(token: Token, world: &World, messages: &[Bytes], sound: bool) -> Self {
        let mut first = Vec::new();
        let (from, timeline) = match &world.checkpoint {
            Some((offset, snapshot)) => {
                (*offset, Timeline::restore(snapshot.clone(), SEGMENT, &mut first))
            }
            None => (0, Timeline::new(SEGMENT)),
        };
        let records: Vec<_> = log::read(messages, from).collect();
        Self {
            token,
            sound,
            records: Box::new(records.into_iter()),
            timeline,
            first,
            session: None,
            finished: false,
        }
    }

    /// The next record.
    fn read(&mut self, world: &mut World) -> Result<bool, Stopped> {
        if self.session.as_ref().is_some_and(|session| session.ending.is_some()) {
            return Ok(false);
        }
        let mut next = 0;
        let mut events = std::mem::take(&mut self.first);
        if events.is_empty() {
            let Some((begins, after, record)) = self.records.next() else {
                self.finished = self.session.is_none();
                return Ok(false);
            };
            next = after;
            self.timeline.push(begins, record, &mut events);
        }
        for event in events {
            match (event, &mut self.session) {
                (Event::Started(_), _) => {
                    self.session = Some(Session::start(self.token, world, self.sound));
                }
                (Event::Ended(_), Some(session)) => {
                    session.end(world, next, self.timeline.snapshot())?;
                }
                (event, Some(session)) => session.take(world, event)?,
                (_, None) => {}
            }
        }
        Ok(true)
    }

    /// One act of whichever part of it; `choice` picks. False when that part has
    /// nothing to do.
    pub(crate) fn step(&mut self, world: &mut World, choice: usize) -> Result<bool, Stopped> {
        let Some(session) = &mut self.session else { return self.read(world) };
        let renditions = session.renditions.len();
        let did = match choice % (4 + 3 * renditions) {
            0 | 1 => return self.read(world),
            2 => session.archive.step(world),
            3 => session.describe(world)?,
            n => {
                let (part, rendition) = ((n - 4) / renditions, (n - 4) % renditions);
                match part {
                    0 => session.encode(rendition),
                    1 => session.redis_step(world, rendition)?,
                    _ => session.store_step(world, rendition),
                }
            }
        };
        self.finished = session.is_done(world)?;
        Ok(did)
    }
}

impl Session {
    fn start(token: Token, world: &World, sound: bool) -> Self {
        let head = world.head();
        let found = world.redis.described || head.is_some();
        let mut session = Self {
            token,
            renditions: Vec::new(),
            archive: Archive::new(token, head, sound),
            base: None,
            run: None,
            lease: None,
            found: head.cloned(),
            encoder: None,
            gop: Vec::new(),
            pictures: 0,
            described: false,
            ending: None,
            ended: false,
            over: head.is_some_and(|head| head.info.ended),
        };
        for rendition in info(sound).renditions {
            let plan = if found {
                resume::plan(&rendition, &world.entries(&rendition.name), head)
            } else {
                RenditionResume::default()
            };
            session.renditions.push(Out::adopt(world, rendition, plan));
        }
        if found {
            session.archive.tell(Note::Info);
        }
        session
    }

    fn take(&mut self, world: &mut World, event: Event) -> Result<(), Stopped> {
        if self.over {
            return Ok(());
        }
        match event {
            Event::Base(base) => {
                self.close_run(world, self.base.or(Some(base)), base.discontinuities)?;
                self.base = Some(base);
                Ok(())
            }
            Event::AudioConfig(_) => {
                for out in self.renditions.iter_mut().filter(|out| is_sound(&out.info)) {
                    out.rendition.set_init(&init(&out.info));
                }
                Ok(())
            }
            Event::Video(frame) => self.picture(world, frame),
            Event::Audio(frame) => self.sound(world, &frame),
            _ => Ok(()),
        }
    }

    fn videos(&mut self) -> impl Iterator<Item = &mut Out> {
        self.renditions.iter_mut().filter(|out| !is_sound(&out.info))
    }

    fn picture(&mut self, world: &mut World, mut frame: VideoFrame) -> Result<(), Stopped> {
        if let Some(point) = frame.restart.take().filter(|_| frame.keyframe) {
            self.archive.tell(Note::Candidate(Candidate { at: frame.pts, point }));
        }
        self.pictures += 1;
        let worn = frame.keyframe && self.pictures.is_multiple_of(WORN);
        if let Some(mut worn) = self.encoder.take_if(|_| worn) {
            worn.clock_of(&frame);
            worn.finish(self.videos().map(|out| &mut out.rendition));
            self.run = None;
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.feed(&frame);
            return Ok(());
        }
        let at = self.videos().map(|out| out.rendition.resume_at()).min().unwrap();
        if frame.keyframe {
            self.gop.clear();
        }
        let due = at == i64::MIN || frame.pts.0 >= at;
        if self.gop.is_empty() && !frame.keyframe {
            return Ok(());
        }
        self.gop.push(frame);
        if !due {
            return Ok(());
        }
        self.ensure_run(world, self.base)?;
        let first = self.gop[0].pts;
        let from = if at == i64::MIN { first } else { Ticks(at).max(first) };
        let splices: Vec<_> = self.videos().map(|out| Ticks(out.rendition.resume_at())).collect();
        for out in self.videos() {
            out.rendition.set_init(&init(&out.info));
        }
        let mut encoder = Encoder::new(from, splices.into_iter());
        for frame in self.gop.drain(..) {
            encoder.feed(&frame);
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    fn sound(&mut self, world: &mut World, frame: &AudioFrame) -> Result<(), Stopped> {
        let start = frame.index * 1_024;
        let Some(at) = self.renditions.iter().position(|out| is_sound(&out.info)) else {
            return Ok(());
        };
        if start < self.renditions[at].rendition.resume_at() {
            return Ok(());
        }
        let data = match &frame.data {
            AudioData::Silence => silent_frame(2).unwrap(),
            AudioData::Frame(body) => body.slice(2..),
        };
        self.ensure_run(world, self.base)?;
        let sample = Sample { start, composition: 0, duration: 1_024, sync: true, data };
        self.renditions[at].rendition.push(sample).unwrap();
        Ok(())
    }

    fn ensure_run(&mut self, world: &mut World, base: Option<Base>) -> Result<(), Stopped> {
        let (None, Some(base)) = (self.run, base) else { return Ok(()) };
        let run = world.claim(self.token).map_err(|_| Stopped)?;
        let newest = world.head();
        let ours = |head: &Head| world.claimed_by(head.run) == self.token;
        if newest != self.found.as_ref() && !newest.is_some_and(ours) {
            return Err(Stopped);
        }
        (self.run, self.lease) = (Some(run), Some(run));
        self.archive.tell(Note::Run(run));
        for out in &mut self.renditions {
            out.rendition.begin_run(RunContext { run, base });
        }
        Ok(())
    }

    fn close_run(
        &mut self,
        world: &mut World,
        base: Option<Base>,
        next: u32,
    ) -> Result<(), Stopped> {
        if let Some(mut encoder) = self.encoder.take() {
            encoder.finish(self.videos().map(|out| &mut out.rendition));
        }
        self.gop.clear();
        if self.renditions.iter().any(|out| out.rendition.is_open_before(next)) {
            self.ensure_run(world, base)?;
        }
        for out in &mut self.renditions {
            out.rendition.end_base(next);
        }
        self.run = None;
        Ok(())
    }

    fn end(
        &mut self,
        world: &mut World,
        offset: i64,
        snapshot: Option<Snapshot>,
    ) -> Result<(), Stopped> {
        if !self.over && self.base.is_some() {
            self.ensure_run(world, self.base)?;
            self.close_run(world, self.base, u32::MAX)?;
        }
        self.ending = Some((offset, snapshot));
        Ok(())
    }

    /// Not before the codecs are known, and a run is claimed.
    fn describe(&mut self, world: &mut World) -> Result<bool, Stopped> {
        let (Some(run), false) = (self.lease, self.described) else { return Ok(false) };
        match world.describe((run, self.token)) {
            Answer::Fenced => return Err(Stopped),
            Answer::Lost => _ = world.claim_lease(run, self.token),
            _ => {
                self.described = true;
                self.archive.tell(Note::Info);
            }
        }
        Ok(true)
    }

    fn encode(&mut self, rendition: usize) -> bool {
        let Some(encoder) = &mut self.encoder else { return false };
        let out = &mut self.renditions[rendition];
        !is_sound(&out.info) && encoder.drain(rendition, &mut out.rendition)
    }

    fn redis_step(&mut self, world: &mut World, rendition: usize) -> Result<bool, Stopped> {
        let (Some(run), true) = (self.lease, self.described) else { return Ok(false) };
        self.renditions[rendition].to_redis.step(world, (run, self.token))
    }

    fn store_step(&mut self, world: &mut World, rendition: usize) -> bool {
        let out = &mut self.renditions[rendition];
        let Some(Some(op)) = out.to_store.pop().now_or_never() else { return false };
        let name = out.info.name.clone();
        match op {
            StoreOp::Init { hash, bytes } => _ = world.store.inits.insert(hash, bytes),
            StoreOp::Segment { info, bytes: Some(bytes) } => {
                world.put(&name, &info, &bytes);
                self.archive.tell(Note::Stored(name, info));
            }
            StoreOp::Segment { mut info, bytes: None } => {
                (info.gap, info.bytes) = (true, 0);
                self.archive.tell(Note::Stored(name, info));
            }
        }
        out.to_store.done();
        true
    }

    /// Whether all is out; then says so, to viewers and then in the index.
    fn is_done(&mut self, world: &mut World) -> Result<bool, Stopped> {
        let Some((offset, snapshot)) = &self.ending else { return Ok(false) };
        let Some(run) = self.lease.filter(|_| !self.over) else { return Ok(true) };
        let told = |out: &Out| out.to_redis.is_empty();
        if !self.ended && self.described && self.renditions.iter().all(told) {
            for out in &self.renditions {
                let end = Entry::End { msn: out.rendition.next_msn() };
                match world.append((run, self.token), &out.info.name, &[end]) {
                    Answer::Done => self.ended = true,
                    Answer::Lost => _ = world.claim_lease(run, self.token),
                    _ => return Err(Stopped),
                }
            }
        }
        if !self.ended || self.renditions.iter().any(|out| out.to_store.depth().0 > 0) {
            return Ok(false);
        }
        while self.archive.step(world) {}
        self.archive.end(world, *offset, snapshot.as_ref());
        Ok(true)
    }
}

impl Out {
    fn adopt(world: &World, info: RenditionInfo, mut plan: RenditionResume) -> Self {
        let bytes = |part| Some((Clone::clone(part), world.part(&info.name, part)?));
        let mut open: Vec<_> = plan.open.iter().map_while(bytes).collect();
        if open.len() < plan.open.len() {
            open.clear();
            plan.reopen();
        }
        let found = open.clone();
        let limit = Limit { bytes: usize::MAX, items: usize::MAX };
        let (redis, store) = (Arc::new(Lane::new(limit)), Arc::new(Lane::new(limit)));
        let grid = Grid { timescale: info.timescale, segment: SEGMENT, part_target: PART_TARGET };
        let rendition =
            Rendition::new(info.name.clone(), grid, &plan, open, redis.clone(), store.clone());
        for segment in &plan.unindexed {
            let bytes = world.segment(&info.name, segment);
            store.push(StoreOp::Segment { info: segment.clone(), bytes });
        }
        let to_redis = ToRedis::new(info.name.clone(), redis.clone(), &plan, found);
        for info in plan.unlisted {
            redis.push(RedisOp::Segment { info, parts: Vec::new(), bytes: None });
        }
        Self { info, rendition, to_redis, to_store: store }
    }
}
