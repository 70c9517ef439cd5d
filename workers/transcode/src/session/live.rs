//! One run: an encoder and the tasks that read what it makes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_media::avc::AvcConfig;
use millrace_media::cmaf;
use millrace_media::flv::{Tag, VideoPacket, VideoTag};
use millrace_media::record::Track;
use millrace_media::time::{TICKS_PER_MS, Ticks};
use millrace_media::timeline::VideoFrame;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::SessionError;
use super::outlet::{Outlet, Shared, lock};
use crate::config::Config;
use crate::encoder::command::{RunArgs, RungArgs};
use crate::encoder::{Encoder, EncoderError, RungOutput, Stamps};
use crate::package::{FrameClock, Sample};
use crate::rendition::TooFar;

/// An encoder that has begun must not be silent longer while it is fed.
const SILENCE: Duration = Duration::from_secs(3);
/// It may take longer to begin on a machine that is busy.
const SILENCE_AT_START: Duration = Duration::from_secs(15);
/// How often that is looked at, and the most that counts between two looks: time
/// in which this process stood still says nothing of the encoder.
const LOOK: Duration = Duration::from_millis(500);

/// The source's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Parsed.
    pub avc: AvcConfig,
    /// As it came: an FLV tag body.
    pub body: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(super) struct LiveRun {
    engine: Engine,
    stamps: Stamps,
    clock: Arc<FrameClock>,
    readers: JoinSet<Result<(), SessionError>>,
    silence: Silence,
    step: Ticks,
    segment: Ticks,
}

#[derive(Debug)]
enum Engine {
    Ffmpeg(Box<Encoder>),
    /// `MOCK_FFMPEG`: the source itself is the only rung.
    Passthrough(mpsc::Sender<Tag>),
}

/// What a reader reads from.
enum Output {
    Ffmpeg(RungOutput),
    Passthrough(mpsc::Receiver<Tag>),
}

impl LiveRun {
    /// Starts the encoder for a run whose first fed pictures are `frames`: a
    /// keyframe and what follows it up to the first one that is due.
    pub(super) fn start(
        config: &Config,
        outlet: &mut Outlet,
        source: &Source,
        frames: &[VideoFrame],
    ) -> Result<Self, SessionError> {
        let (origin, first) = frames.first().map_or((Ticks::ZERO, Ticks::ZERO), |f| (f.dts, f.pts));
        let from = outlet.video_resumes_at().map_or(first, |at| at.max(first));
        let stamps = Stamps::new(origin);
        let (engine, outputs) = if config.mock_ffmpeg {
            let (fed, output) = mpsc::channel(32);
            let tag = Tag { track: Track::Video, timestamp_ms: 0, body: source.body.clone() };
            // The channel is new and has room.
            let _ = fed.try_send(tag);
            (Engine::Passthrough(fed), vec![Output::Passthrough(output)])
        } else {
            let args = |fds: &[i32]| run_args(config, outlet, from, stamps, fds);
            let rungs = outlet.videos().len();
            let (encoder, outputs) =
                Encoder::start(&config.ffmpeg, rungs, source.body.clone(), args)?;
            let outputs = outputs.into_iter().map(Output::Ffmpeg).collect();
            (Engine::Ffmpeg(Box::new(encoder)), outputs)
        };
        let clock = Arc::new(FrameClock::default());
        let made = Arc::new(AtomicU64::new(0));
        let mut readers = JoinSet::new();
        let mut codecs = Vec::new();
        for (output, (_, rendition)) in outputs.into_iter().zip(outlet.videos()) {
            let (told, tell) = oneshot::channel();
            codecs.push(tell);
            let reader = Reader {
                output,
                rendition: rendition.clone(),
                clock: clock.clone(),
                stamps,
                made: made.clone(),
                codecs: Some(told),
            };
            readers.spawn(reader.run());
        }
        outlet.announce(codecs);
        let step = frames.last().map_or(Ticks::ZERO, |f| f.step);
        let segment = outlet.info().segment_duration;
        let silence = Silence::new(made);
        Ok(Self { engine, stamps, clock, readers, silence, step, segment })
    }

    /// Feeds one picture; waits while the encoder is busy.
    pub(super) async fn feed(&mut self, frame: VideoFrame) -> Result<(), SessionError> {
        let stamp = self.stamps.fed_ms(frame.dts);
        self.step = frame.step;
        match &mut self.engine {
            Engine::Ffmpeg(encoder) => {
                self.clock.feed(frame.dts, frame.pts);
                let mut fed = pin!(encoder.feed(stamp, frame.payload));
                loop {
                    match tokio::time::timeout(LOOK, &mut fed).await {
                        Ok(fed) => break fed?,
                        Err(_) => self.silence.look()?,
                    }
                }
                self.silence.look()
            }
            Engine::Passthrough(fed) => {
                self.clock.feed(frame.dts, frame.dts);
                let timestamp_ms = u32::try_from(stamp.max(0)).unwrap_or(u32::MAX);
                let tag = Tag { track: Track::Video, timestamp_ms, body: frame.payload };
                // A reader that is gone has failed; `finish` says how.
                let _ = fed.send(tag).await;
                Ok(())
            }
        }
    }

    /// Whether the run is to end before this picture: it has lasted for weeks.
    pub(super) fn is_worn(&self, next: &VideoFrame) -> bool {
        self.stamps.are_worn(next.dts)
    }

    /// As [`LiveRun::finish`], where this picture follows in another run.
    pub(super) async fn finish_before(self, next: &VideoFrame) -> Result<(), SessionError> {
        let shown = match &self.engine {
            Engine::Ffmpeg(_) => next.pts,
            Engine::Passthrough(_) => next.dts,
        };
        self.clock.feed(next.dts, shown);
        self.finish().await
    }

    /// No more pictures: waits until all that were fed are out.
    pub(super) async fn finish(mut self) -> Result<(), SessionError> {
        self.clock.close(self.step, self.segment);
        match self.engine {
            Engine::Ffmpeg(encoder) => encoder.finish().await?,
            Engine::Passthrough(fed) => drop(fed),
        }
        while let Some(reader) = self.readers.join_next().await {
            reader??;
        }
        Ok(())
    }
}

/// Notices an encoder that takes, or does not even take, and gives nothing.
#[derive(Debug)]
struct Silence {
    /// Pictures made of all rungs.
    made: Arc<AtomicU64>,
    seen: u64,
    /// For how long none came out.
    lasts: Duration,
    looked: Instant,
}

impl Silence {
    fn new(made: Arc<AtomicU64>) -> Self {
        Self { made, seen: 0, lasts: Duration::ZERO, looked: Instant::now() }
    }

    /// While there is something to be made.
    fn look(&mut self) -> Result<(), SessionError> {
        let (made, now) = (self.made.load(Ordering::Relaxed), Instant::now());
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        if made > self.seen {
            self.seen = made;
            self.lasts = Duration::ZERO;
            return Ok(());
        }
        self.lasts += passed.min(LOOK);
        let limit = if made == 0 { SILENCE_AT_START } else { SILENCE };
        if self.lasts <= limit {
            return Ok(());
        }
        Err(SessionError::Silent { seconds: limit.as_secs() })
    }
}

fn run_args(config: &Config, outlet: &Outlet, from: Ticks, stamps: Stamps, fds: &[i32]) -> RunArgs {
    let rungs = outlet.videos().iter().zip(fds).map(|((format, rendition), fd)| {
        let resume = lock(rendition).resume_at();
        RungArgs {
            width: format.width,
            height: format.height,
            bitrate_kbps: format.bitrate_kbps,
            splice: Ticks(resume).max(from),
            fd: *fd,
        }
    });
    RunArgs {
        x264: config.x264.clone(),
        segment: outlet.info().segment_duration,
        from,
        from_fed_ms: stamps.fed_ms(from),
        frame_rate: outlet.info().frame_rate,
        rungs: rungs.collect(),
    }
}

/// Reads one rung of one run.
struct Reader {
    output: Output,
    rendition: Shared,
    clock: Arc<FrameClock>,
    stamps: Stamps,
    made: Arc<AtomicU64>,
    codecs: Option<oneshot::Sender<String>>,
}

impl Output {
    async fn next(&mut self) -> Result<Option<Tag>, EncoderError> {
        match self {
            Self::Ffmpeg(output) => output.next().await,
            Self::Passthrough(output) => Ok(output.recv().await),
        }
    }
}

impl Reader {
    async fn run(mut self) -> Result<(), SessionError> {
        let mut avc: Option<AvcConfig> = None;
        while let Some(tag) = self.output.next().await? {
            match VideoTag::parse(&tag.body)?.packet {
                VideoPacket::Config(record) => {
                    let config = AvcConfig::parse(&record)?;
                    lock(&self.rendition).set_init(&cmaf::video_init(&config));
                    if let Some(codecs) = self.codecs.take() {
                        let _ = codecs.send(config.codecs());
                    }
                    avc = Some(config);
                }
                VideoPacket::Picture { composition_ms, data } => {
                    let sync = avc.as_ref().is_some_and(|c| c.has_idr(&data));
                    self.picture(&tag, composition_ms, sync, data).await?;
                }
                VideoPacket::End | VideoPacket::Command => {}
            }
        }
        Ok(())
    }

    async fn picture(
        &mut self,
        tag: &Tag,
        composition_ms: i32,
        sync: bool,
        data: Bytes,
    ) -> Result<(), TooFar> {
        self.made.fetch_add(1, Ordering::Relaxed);
        // Encoded pictures are presented as they are decoded; only a source
        // that is passed through has composition times.
        let start = self.stamps.moment(tag.timestamp_ms.into());
        let duration = self.clock.duration(start).await;
        let ticks = i32::try_from(TICKS_PER_MS).unwrap_or(90);
        lock(&self.rendition).push(Sample {
            start: start.0,
            composition: composition_ms.saturating_mul(ticks),
            duration: duration.0,
            sync,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after so many looks of half a second each.
    fn looks(silence: &mut Silence, count: u32) -> bool {
        let look = |_| {
            silence.looked -= LOOK;
            silence.look().is_ok()
        };
        (0..count).all(look)
    }

    #[test]
    fn an_encoder_that_gives_nothing_is_noticed_after_its_time() {
        let made = Arc::new(AtomicU64::new(0));
        let mut silence = Silence::new(Arc::clone(&made));
        assert!(looks(&mut silence, 29));
        made.store(1, Ordering::Relaxed);
        assert!(looks(&mut silence, 6));
        made.store(2, Ordering::Relaxed);
        assert!(looks(&mut silence, 1));
        assert!(!looks(&mut silence, 7));
    }

    #[test]
    fn a_process_that_stood_still_does_not_blame_its_encoder() {
        let mut silence = Silence::new(Arc::new(AtomicU64::new(1)));
        assert!(silence.look().is_ok());
        silence.looked -= Duration::from_mins(1);
        assert!(silence.look().is_ok());
    }
}
