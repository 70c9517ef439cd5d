//! One broadcast, from the timeline's events to what is published.
//!
//! The session holds the broadcast's renditions ([`outlet`]), claims a run for
//! each base, and feeds its encoder ([`live`]). It starts the encoder only when
//! a picture is due that is not published yet, from the keyframe before it: so
//! a new process that replays the log encodes nothing twice.

use std::sync::Arc;

use bytes::Bytes;
use millrace_media::aac::{AacConfig, silent_frame};
use millrace_media::avc::AvcConfig;
use millrace_media::flv::{AudioPacket, AudioTag, VideoPacket, VideoTag};
use millrace_media::id::Run;
use millrace_media::index::Head;
use millrace_media::record::Open;
use millrace_media::time::Ticks;
use millrace_media::timeline::{AudioData, AudioFrame, Base, Event, Snapshot, VideoFrame};

use crate::config::Config;
use crate::format;
use crate::package::Sample;
use crate::publish::archive::Note;
use crate::publish::checkpoint::Candidate;
use crate::services::{Blind, Published, Services};

mod error;
mod live;
mod outlet;

pub use error::SessionError;
use live::LiveRun;
pub(crate) use live::Source;
pub use outlet::Leftover;
use outlet::Outlet;

/// How long a broadcast's first pictures wait for its sound to appear, and
/// what its frame rate is measured over.
const SETTLE: Ticks = Ticks::from_ms(500);
/// Frames held at most until then, of whichever track.
const MAX_EARLY: usize = 256;
/// Stands in for the base of a run that makes nothing.
const BEGINNING: Base = Base { at: Ticks::ZERO, source_ms: 0, discontinuities: 0, date_ms: 0 };
/// Pictures held while no encoder runs, far more than a sane GOP.
const MAX_GOP_BYTES: usize = 64 << 20;

/// See the module.
#[derive(Debug)]
pub struct Session {
    services: Services,
    config: Arc<Config>,
    facts: Open,
    /// Who could not be asked what is published.
    blind: Blind,
    state: State,
    base: Option<Base>,
    video_config: Option<Source>,
    audio_config: Option<AacConfig>,
    run: Option<Run>,
    /// A run that was claimed before what is published was read.
    claimed: Option<Run>,
    /// The index as it was read.
    found: Option<Head>,
    encoder: Option<LiveRun>,
    gop: Gop,
}

#[derive(Debug)]
enum State {
    /// The renditions are not known yet: the frames so far.
    Settling(Vec<Event>),
    /// They are.
    Settled(Box<Outlet>),
    /// All of it was published before, or a task of this process sees to that.
    Over,
}

/// Pictures since the last keyframe, while no encoder runs.
#[derive(Debug, Default)]
struct Gop {
    frames: Vec<VideoFrame>,
    bytes: usize,
}

impl Session {
    /// Begins, or goes on with, the broadcast of these facts; `claimed` is the
    /// first run, where it is claimed already.
    pub async fn start(
        services: Services,
        config: Arc<Config>,
        facts: Open,
        claimed: Option<Run>,
    ) -> Result<Self, SessionError> {
        let left = services.is_left(facts.broadcast);
        let published =
            if left { Published::default() } else { services.published(facts.broadcast).await? };
        // Viewers may have been told of an end that the index does not have yet.
        let over = left || published.head.as_ref().is_some_and(|head| head.info.ended);
        let state = match &published.info {
            _ if over => State::Over,
            Some(info) if !info.renditions.is_empty() => {
                tracing::info!(broadcast = %facts.broadcast, "going on with a broadcast");
                State::Settled(Box::new(
                    Outlet::resume(&services, &config, info.clone(), &published).await?,
                ))
            }
            _ => {
                tracing::info!(broadcast = %facts.broadcast, "a broadcast begins");
                State::Settling(Vec::new())
            }
        };
        Ok(Self {
            services,
            config,
            facts,
            blind: published.blind,
            state,
            base: None,
            video_config: None,
            audio_config: None,
            run: None,
            claimed,
            found: published.head,
            encoder: None,
            gop: Gop::default(),
        })
    }

    /// The first moment of which some rung wants pictures; `None` if that is all.
    pub fn video_resumes_at(&self) -> Option<Ticks> {
        match &self.state {
            State::Settled(outlet) => outlet.video_resumes_at(),
            State::Settling(_) => None,
            State::Over => Some(Ticks(i64::MAX)),
        }
    }

    /// The next step of the timeline.
    pub async fn take(&mut self, event: Event) -> Result<(), SessionError> {
        match event {
            Event::Base(base) => {
                self.close_base(base).await?;
                self.base = Some(base);
                let (at, discontinuities) = (base.at.as_secs_f64(), base.discontinuities);
                tracing::info!(at, discontinuities, "the source's time is placed");
            }
            Event::VideoConfig(body) => self.video_config = Some(Source::parse(body)?),
            Event::AudioConfig(body) => {
                self.audio_config = audio_config(&body);
                self.begin_audio();
            }
            Event::Video(_) | Event::Audio(_) => self.frame(event).await?,
            Event::Publisher(epoch) => tracing::info!(%epoch, "a publisher is connected"),
            Event::Started(_) | Event::Ended(_) => {}
        }
        if let State::Settled(outlet) = &self.state {
            outlet.check()?;
        }
        Ok(())
    }

    /// The broadcast is over; the log goes on at `offset`. Viewers are told;
    /// what is still to be stored is the future returned, which nobody needs to
    /// wait for.
    pub async fn end(
        mut self,
        offset: i64,
        snapshot: Option<Snapshot>,
    ) -> Result<Leftover, SessionError> {
        self.settle().await?;
        // The end is written under a lease, also when nothing else was left.
        self.ensure_run(Some(self.base.unwrap_or(BEGINNING))).await?;
        self.close_run(self.base, u32::MAX).await?;
        tracing::info!(broadcast = %self.facts.broadcast, "the broadcast is over");
        match self.state {
            State::Settled(outlet) => outlet.end(offset, snapshot).await,
            State::Settling(_) | State::Over => {
                // Who brings the rest away, of this one or one before, commits when
                // that is done.
                let broadcast = self.facts.broadcast;
                let owes = self.services.is_left(broadcast) || self.services.owes_before(broadcast);
                if let Some(snapshot) = snapshot.filter(|_| !owes) {
                    self.services.commit(offset, &snapshot).await;
                }
                Ok(Box::pin(std::future::ready(())))
            }
        }
    }

    async fn frame(&mut self, event: Event) -> Result<(), SessionError> {
        match &mut self.state {
            State::Over => Ok(()),
            State::Settled(_) => self.emit(event).await,
            State::Settling(early) => {
                early.push(event);
                if self.is_settled() { self.settle().await } else { Ok(()) }
            }
        }
    }

    /// Whether the first frames tell what the broadcast is.
    fn is_settled(&self) -> bool {
        let (State::Settling(early), Some(base)) = (&self.state, self.base) else { return false };
        let told = self.audio_config.is_some()
            && self.video_config.as_ref().is_some_and(|c| c.avc.frame_rate().is_some());
        let waited = early.iter().any(|event| match event {
            Event::Video(frame) => frame.dts - base.at >= SETTLE,
            _ => false,
        });
        told || waited || early.len() >= MAX_EARLY
    }

    /// Decides on the renditions with what is known, if any picture has come.
    async fn settle(&mut self) -> Result<(), SessionError> {
        let (State::Settling(early), Some(source)) = (&mut self.state, &self.video_config) else {
            return Ok(());
        };
        if early.is_empty() {
            return Ok(());
        }
        let early = std::mem::take(early);
        let mut times: Vec<_> = early
            .iter()
            .filter_map(|e| if let Event::Video(frame) = e { Some(frame.pts) } else { None })
            .collect();
        times.sort_unstable();
        let audio = self.audio_config.clone();
        let format = if self.config.mock_ffmpeg {
            format::passthrough(&source.avc, audio, &times)
        } else {
            format::decide(&self.config.ladder, &source.avc, audio, &times)
        };
        let outlet = Outlet::open(&self.services, &self.config, &self.facts, &format, self.blind);
        self.state = State::Settled(Box::new(outlet));
        self.begin_audio();
        for event in early {
            self.emit(event).await?;
        }
        Ok(())
    }

    async fn emit(&mut self, event: Event) -> Result<(), SessionError> {
        match event {
            Event::Video(frame) => self.picture(frame).await,
            Event::Audio(frame) => self.sound(&frame).await,
            _ => Ok(()),
        }
    }

    async fn picture(&mut self, mut frame: VideoFrame) -> Result<(), SessionError> {
        let State::Settled(outlet) = &mut self.state else { return Ok(()) };
        let Some(source) = &self.video_config else { return Ok(()) };
        outlet.video_reaches(frame.pts)?;
        let idr = frame.keyframe && source.is_idr(&frame.payload);
        if let Some(point) = frame.restart.take().filter(|_| idr) {
            outlet.note(Note::Candidate(Candidate { at: frame.pts, point })).await;
        }
        if let Some(worn) = self.encoder.take_if(|encoder| idr && encoder.is_worn(&frame)) {
            worn.finish_before(&frame).await?;
            self.run = None;
        }
        if let Some(encoder) = &mut self.encoder {
            return encoder.feed(frame).await;
        }
        let due = outlet.video_resumes_at().is_none_or(|at| frame.pts >= at);
        if !self.gop.push(frame, idr) || !due {
            return Ok(());
        }
        self.ensure_run(self.base).await?;
        self.start_encoder().await
    }

    async fn start_encoder(&mut self) -> Result<(), SessionError> {
        let (State::Settled(outlet), Some(source)) = (&mut self.state, &self.video_config) else {
            return Ok(());
        };
        let frames = self.gop.take();
        let mut encoder = LiveRun::start(&self.config, outlet, source, &frames)?;
        for frame in frames {
            encoder.feed(frame).await?;
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    async fn sound(&mut self, frame: &AudioFrame) -> Result<(), SessionError> {
        let State::Settled(outlet) = &self.state else { return Ok(()) };
        let (Some(rendition), Some(config)) = (outlet.audio().cloned(), &self.audio_config) else {
            return Ok(());
        };
        let samples = i64::from(AacConfig::FRAME_SAMPLES);
        let start = frame.index.saturating_mul(samples);
        if start < outlet::lock(&rendition).resume_at() {
            return Ok(());
        }
        let data = match &frame.data {
            AudioData::Silence => silent_frame(config.channels()),
            AudioData::Frame(body) => match AudioTag::parse(body).map(|tag| tag.packet) {
                Ok(AudioPacket::Frame(data)) => Some(data),
                Ok(AudioPacket::Config(_)) | Err(_) => None,
            },
        };
        let Some(data) = data else { return Ok(()) };
        self.ensure_run(self.base).await?;
        let sample = Sample { start, composition: 0, duration: samples, sync: true, data };
        outlet::lock(&rendition).push(sample)?;
        Ok(())
    }

    /// Tells the audio rendition its configuration.
    fn begin_audio(&mut self) {
        let State::Settled(outlet) = &self.state else { return };
        let (Some(rendition), Some(config)) = (outlet.audio(), &self.audio_config) else { return };
        // The timeline leaves out sound of any other rate.
        outlet::lock(rendition).set_init(&millrace_media::cmaf::audio_init(config));
    }

    /// Claims a run, if this base has none yet.
    async fn ensure_run(&mut self, base: Option<Base>) -> Result<(), SessionError> {
        let (State::Settled(outlet), None, Some(base)) = (&mut self.state, self.run, base) else {
            return Ok(());
        };
        let broadcast = self.facts.broadcast;
        let run = if let Some(run) = self.claimed.take() {
            run
        } else {
            let run = self.services.claim_run(broadcast).await?;
            // One that was not read is before it is written.
            if !self.blind.index {
                self.services.index_is_still(broadcast, self.found.as_ref()).await?;
            }
            run
        };
        tracing::info!(%run, "a run begins");
        outlet.begin_run(run, base).await;
        self.run = Some(run);
        Ok(())
    }

    /// A new base opens: what the last one left is ended.
    async fn close_base(&mut self, next: Base) -> Result<(), SessionError> {
        self.settle().await?;
        self.close_run(self.base.or(Some(next)), next.discontinuities).await
    }

    async fn close_run(&mut self, base: Option<Base>, next: u32) -> Result<(), SessionError> {
        if let Some(encoder) = self.encoder.take() {
            encoder.finish().await?;
        }
        self.gop.take();
        let open = matches!(&self.state, State::Settled(outlet) if outlet.is_open_before(next));
        if open {
            // Another process's parts may have been left open.
            self.ensure_run(base).await?;
        }
        if let State::Settled(outlet) = &mut self.state {
            outlet.end_base(next);
        }
        self.run = None;
        Ok(())
    }
}

impl Gop {
    /// Adds a picture; a keyframe begins anew. False while none has come.
    fn push(&mut self, frame: VideoFrame, idr: bool) -> bool {
        if idr || self.bytes > MAX_GOP_BYTES {
            self.take();
        }
        if self.frames.is_empty() && !idr {
            return false;
        }
        self.bytes = self.bytes.saturating_add(frame.payload.len());
        self.frames.push(frame);
        true
    }

    fn take(&mut self) -> Vec<VideoFrame> {
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }
}

fn audio_config(body: &Bytes) -> Option<AacConfig> {
    match AudioTag::parse(body).map(|tag| tag.packet) {
        Ok(AudioPacket::Config(config)) => AacConfig::parse(&config)
            .inspect_err(|error| tracing::error!(%error, "the sound is left out"))
            .ok(),
        Ok(AudioPacket::Frame(_)) | Err(_) => None,
    }
}

impl Source {
    /// From the FLV tag that carries the configuration.
    pub(crate) fn parse(body: Bytes) -> Result<Self, SessionError> {
        let tag = VideoTag::parse(&body)?;
        let VideoPacket::Config(record) = tag.packet else {
            return Err(SessionError::NoVideoConfig);
        };
        Ok(Self { avc: AvcConfig::parse(&record)?, body })
    }

    /// Whether the picture in this FLV tag needs none before it.
    pub(crate) fn is_idr(&self, body: &Bytes) -> bool {
        match VideoTag::parse(body).map(|tag| tag.packet) {
            Ok(VideoPacket::Picture { data, .. }) => self.avc.has_idr(&data),
            _ => false,
        }
    }
}
