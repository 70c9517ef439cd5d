//! The fold: records of the log in, one timeline out.
//!
//! A [`Timeline`] is a pure state machine. Whoever folds the same records with
//! the same segment duration gets the same frames at the same times, whenever
//! and wherever that happens; a [`Snapshot`] taken on the way lets a fold start
//! in the middle. No clock takes part.
//!
//! How a record passes through:
//!
//! 1. **Fence.** Records of a lower epoch than the highest `open` are dropped.
//! 2. **Continuity** ([`continuity`]). Each track's decode time is judged
//!    against its predecessor. When both tracks jump, or one does while the
//!    other is silent, and at every new epoch, the base is closed.
//! 3. **Base.** A base maps source time to the timeline. The first opens at a
//!    keyframe whose presentation time becomes zero; each later one opens at a
//!    keyframe placed on the boundary after the last segment that holds a
//!    frame, a discontinuity.
//! 4. **Grid** ([`grid`]). Audio frames are placed on one absolute grid of
//!    1,024 samples; holes inside a base, and what lacks at its end, are
//!    filled with silence. Sound of another rate than the broadcast's is left
//!    out, silence stands in for it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::flv::COMPOSITION_MS;
use crate::id::{BroadcastId, Epoch};
use crate::record::{Body, End, EndReason, Frame, Open, Record, Track};
use crate::time::Ticks;

mod continuity;
mod event;
mod grid;
mod snapshot;

pub use event::{AudioData, AudioFrame, Base, Counters, Event, RestartPoint, VideoFrame};
pub use snapshot::{Snapshot, SnapshotError};

use continuity::{Continuity, Verdict};
use grid::{Grid, Placement};

/// How far apart in the log audio and video of one moment may be, in ms.
pub const INTERLEAVING_MS: i64 = 500;
/// A step of one track larger than this, in ms, is not continuous.
pub const MAX_STEP_MS: i64 = 1_000;
/// Audio held while a base waits for its keyframe: frames, newest kept.
const MAX_WAITING: usize = 256;

/// The fold's state. See the module's documentation.
#[derive(Debug)]
pub struct Timeline {
    /// Segment duration of the broadcasts that begin from here on.
    segment: Ticks,
    epoch: Epoch,
    nonce: Option<uuid::Uuid>,
    broadcast: Option<Broadcast>,
    /// The broadcast that ended last: an `open` that names it is void.
    ended: Option<BroadcastId>,
    /// Where a reader could start, to be handed out with the next keyframe.
    candidate: Option<Box<RestartPoint>>,
    counters: Counters,
}

/// What is known of the open broadcast.
#[derive(Debug)]
struct Broadcast {
    facts: Open,
    /// Segment duration, which new bases align to: the same for its whole life.
    segment: Ticks,
    base: Option<Base>,
    /// Bases opened so far.
    bases: u32,
    /// One past the largest frame start of both tracks: the next base opens at
    /// the boundary after it, so every segment up to there holds a frame.
    end: Ticks,
    /// The last picture's presentation time.
    last_picture: Option<Ticks>,
    continuity: Continuity,
    /// Time from the last video frame to the one before it.
    video_step_ms: i64,
    grid: Option<Grid>,
    video_config: Option<Bytes>,
    audio_config: Option<Bytes>,
    /// The publisher's sound now has another rate than the broadcast's, or is of
    /// a form that is not taken.
    foreign_sound: bool,
    /// Audio that came before the keyframe it plays with.
    waiting: VecDeque<Frame>,
    /// Records of it are missing from the log before where this fold began,
    /// and nobody has said yet how far it had come.
    partial: bool,
}

impl Broadcast {
    fn new(facts: Open, segment: Ticks, partial: bool) -> Self {
        Self {
            partial,
            facts,
            segment,
            base: None,
            bases: 0,
            end: Ticks::ZERO,
            last_picture: None,
            continuity: Continuity::default(),
            video_step_ms: 33,
            grid: None,
            video_config: None,
            audio_config: None,
            foreign_sound: false,
            waiting: VecDeque::new(),
        }
    }

    /// Frames from here on wait for a keyframe that opens the next base. Sound
    /// is made to reach as far as the pictures do, and into the segment of the
    /// last one: a segment that has a picture has sound.
    fn close_base(&mut self, counters: &mut Counters, out: &mut Vec<Event>) {
        if let (Some(_), Some(last), Some(grid)) = (self.base, self.last_picture, &self.grid) {
            let first_of_segment = grid.first_from(previous_multiple(last, self.segment));
            self.fill_audio(last.max(first_of_segment) + grid.frame(), counters, out);
        }
        self.base = None;
        self.waiting.clear();
        self.continuity = Continuity::default();
    }
}

impl Timeline {
    /// A fold of a log from its beginning, or from any place in it: it starts
    /// at the first `open` or `facts`.
    pub fn new(segment: Ticks) -> Self {
        Self {
            segment: Ticks(segment.0.max(1)),
            epoch: Epoch(0),
            nonce: None,
            broadcast: None,
            ended: None,
            candidate: None,
            counters: Counters::default(),
        }
    }

    /// What was dropped or filled since this fold began.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The broadcast that is open.
    pub fn broadcast(&self) -> Option<&Open> {
        self.broadcast.as_ref().map(|b| &b.facts)
    }

    /// The open broadcast, if its beginning is not in the log that was folded:
    /// [`Timeline::go_on_after`] is to be told what is known of it before the
    /// next record.
    pub fn partial(&self) -> Option<BroadcastId> {
        self.broadcast.as_ref().filter(|b| b.partial).map(|b| b.facts.broadcast)
    }

    /// What was published of a broadcast whose records are gone: it reached
    /// `end` with that many discontinuities up to there. It goes on at the next
    /// boundary, after one more. `None` if nothing was.
    pub fn go_on_after(&mut self, reached: Option<(Ticks, u32)>) {
        let Some(broadcast) = &mut self.broadcast else { return };
        broadcast.partial = false;
        if let Some((end, discontinuities)) = reached {
            broadcast.end = broadcast.end.max(end);
            broadcast.bases = broadcast.bases.max(discontinuities.saturating_add(1));
        }
    }

    /// Folds the record that begins at `offset`; appends what follows to `out`.
    pub fn push(&mut self, offset: i64, record: Record, out: &mut Vec<Event>) {
        if record.epoch < self.epoch {
            self.counters.stale_epoch += 1;
            return;
        }
        match record.body {
            Body::Open(open) => {
                let partial = open.resumed;
                self.open(offset, record.epoch, open, partial, out);
            }
            Body::Facts(facts) if record.epoch > self.epoch => {
                // A reader that starts in the middle of an epoch.
                self.open(offset, record.epoch, facts, true, out);
            }
            Body::Facts(facts) => {
                if self.nonce == Some(facts.nonce) {
                    self.mark_restart(offset);
                }
            }
            Body::End(end) => self.end(end, out),
            Body::Frame(frame) if record.epoch == self.epoch => self.frame(frame, out),
            Body::Frame(_) => self.counters.stale_epoch += 1,
        }
    }

    fn open(&mut self, offset: i64, epoch: Epoch, open: Open, partial: bool, out: &mut Vec<Event>) {
        if epoch == self.epoch {
            // The first `open` of an epoch won; this is a loser's.
            self.counters.stale_epoch += 1;
            return;
        }
        if self.ended == Some(open.broadcast) {
            self.counters.stale_epoch += 1;
            return;
        }
        // A reader that starts here sees this very record again, so the
        // snapshot is of the state before it.
        let before = self.snapshot();
        if let Some(mut old) = self.broadcast.take_if(|b| b.facts.broadcast != open.broadcast) {
            old.close_base(&mut self.counters, out);
            self.ended = Some(old.facts.broadcast);
            let end = End { broadcast: old.facts.broadcast, reason: EndReason::ReconnectWindow };
            out.push(Event::Ended(end));
        }
        if let Some(broadcast) = &mut self.broadcast {
            broadcast.close_base(&mut self.counters, out);
            broadcast.facts = open.clone();
        }
        self.candidate = before.map(|snapshot| Box::new(RestartPoint { offset, snapshot }));
        self.epoch = epoch;
        self.nonce = Some(open.nonce);
        if self.broadcast.is_none() {
            out.push(Event::Started(open.clone()));
            self.broadcast = Some(Broadcast::new(open, self.segment, partial));
        }
        out.push(Event::Publisher(epoch));
    }

    fn end(&mut self, end: End, out: &mut Vec<Event>) {
        let over = self.broadcast.take_if(|b| b.facts.broadcast == end.broadcast);
        if let Some(mut broadcast) = over {
            broadcast.close_base(&mut self.counters, out);
            self.ended = Some(end.broadcast);
            self.candidate = None;
            out.push(Event::Ended(end));
        }
    }

    fn mark_restart(&mut self, offset: i64) {
        let Some(broadcast) = &self.broadcast else { return };
        if broadcast.base.is_none() && self.candidate.is_some() {
            // An earlier place also replays the audio that waits.
            return;
        }
        self.candidate =
            self.snapshot().map(|snapshot| Box::new(RestartPoint { offset, snapshot }));
    }

    fn frame(&mut self, frame: Frame, out: &mut Vec<Event>) {
        let Some(broadcast) = self.broadcast.as_mut() else {
            self.counters.outside_broadcast += 1;
            return;
        };
        if frame.config {
            broadcast.configure(frame, &mut self.counters, out);
            return;
        }
        // Ingest lets none in. Sound would be filled up to there.
        if !COMPOSITION_MS.contains(&frame.composition_ms) {
            self.counters.stray += 1;
            return;
        }
        if broadcast.base.is_none() {
            self.wait(frame, out);
            return;
        }
        let verdict = broadcast.continuity.judge(frame);
        self.counters.stray += verdict.dropped;
        match verdict.next {
            Verdict::Continues(frame) => self.emit(frame, out),
            Verdict::Held => {}
            Verdict::Jump(frames) => {
                broadcast.close_base(&mut self.counters, out);
                self.candidate = None;
                for frame in frames {
                    // A held frame may be the keyframe that opens the base;
                    // what follows it continues there.
                    self.frame(frame, out);
                }
            }
        }
    }

    /// A frame while no base is open.
    fn wait(&mut self, frame: Frame, out: &mut Vec<Event>) {
        let Some(broadcast) = self.broadcast.as_mut() else { return };
        match frame.track {
            Track::Audio => {
                if broadcast.waiting.len() >= MAX_WAITING {
                    broadcast.waiting.pop_front();
                    self.counters.before_keyframe += 1;
                }
                broadcast.waiting.push_back(frame);
            }
            Track::Video if frame.keyframe && broadcast.video_config.is_some() => {
                let start_ms = frame.time_ms.saturating_add(i64::from(frame.composition_ms));
                broadcast.open_base(start_ms, frame.arrival_ms, out);
                let waiting = std::mem::take(&mut broadcast.waiting);
                broadcast.continuity.start(&frame);
                self.emit(frame, out);
                for audio in waiting {
                    if audio.time_ms >= start_ms {
                        self.frame(audio, out);
                    } else {
                        self.counters.before_keyframe += 1;
                    }
                }
            }
            Track::Video => self.counters.before_keyframe += 1,
        }
    }

    /// A frame that continues the open base.
    fn emit(&mut self, frame: Frame, out: &mut Vec<Event>) {
        let Some(broadcast) = self.broadcast.as_mut() else { return };
        match frame.track {
            Track::Video => {
                let restart = if frame.keyframe { self.candidate.take() } else { None };
                broadcast.emit_video(frame, restart, &mut self.counters, out);
            }
            Track::Audio => broadcast.emit_audio(frame, &mut self.counters, out),
        }
    }
}

impl Broadcast {
    /// A decoder configuration. One that differs from the base's closes it.
    fn configure(&mut self, frame: Frame, counters: &mut Counters, out: &mut Vec<Event>) {
        let track = frame.track;
        let known = match track {
            Track::Video => &mut self.video_config,
            Track::Audio => {
                // The audio rendition's rate stands for the broadcast's life.
                self.foreign_sound = self.grid.is_some_and(|g| !g.takes(&frame.payload));
                if self.foreign_sound {
                    return;
                }
                &mut self.audio_config
            }
        };
        let before = known.replace(frame.payload.clone());
        let Some(base) = &self.base else { return };
        match before {
            Some(before) if before == frame.payload => {}
            // Sound that joins a picture already running.
            None if track == Track::Audio => {
                self.grid = Grid::of(&frame.payload, base.at, self.grid.as_ref());
                out.push(Event::AudioConfig(frame.payload));
            }
            _ => self.close_base(counters, out),
        }
    }

    fn open_base(&mut self, start_ms: i64, date_ms: i64, out: &mut Vec<Event>) {
        let at = if self.bases == 0 { Ticks::ZERO } else { next_multiple(self.end, self.segment) };
        self.last_picture = None;
        let base = Base { at, source_ms: start_ms, discontinuities: self.bases, date_ms };
        self.bases = self.bases.saturating_add(1);
        out.push(Event::Base(base));
        if let Some(config) = &self.video_config {
            out.push(Event::VideoConfig(config.clone()));
        }
        if let Some(config) = &self.audio_config {
            self.grid = Grid::of(config, at, self.grid.as_ref());
            out.push(Event::AudioConfig(config.clone()));
        }
        self.base = Some(base);
    }

    fn emit_video(
        &mut self,
        frame: Frame,
        restart: Option<Box<RestartPoint>>,
        counters: &mut Counters,
        out: &mut Vec<Event>,
    ) {
        let Some(base) = self.base else { return };
        // Of each picture: a snapshot has no other one.
        if let Some(step) = self.continuity.video_step_ms() {
            self.video_step_ms = step;
        }
        let dts = base.place(frame.time_ms);
        let pts = dts + Ticks::from_ms(i64::from(frame.composition_ms));
        if pts < base.at {
            // A leading picture, which refers to what is before the keyframe.
            counters.before_keyframe += 1;
            return;
        }
        self.end = self.end.max(pts + Ticks(1));
        self.last_picture = self.last_picture.max(Some(pts));
        self.fill_audio(dts - Ticks::from_ms(INTERLEAVING_MS), counters, out);
        out.push(Event::Video(VideoFrame {
            dts,
            pts,
            step: Ticks::from_ms(self.video_step_ms),
            keyframe: frame.keyframe,
            arrival_ms: frame.arrival_ms,
            payload: frame.payload,
            restart,
        }));
    }

    fn emit_audio(&mut self, frame: Frame, counters: &mut Counters, out: &mut Vec<Event>) {
        let (Some(base), Some(grid)) = (self.base, self.grid.as_mut()) else {
            counters.before_keyframe += 1;
            return;
        };
        if self.foreign_sound {
            counters.foreign_audio += 1;
            return;
        }
        match grid.place(base.place(frame.time_ms)) {
            Placement::Late => counters.late_audio += 1,
            Placement::At { silence, index } => {
                counters.silence += silence.end.abs_diff(silence.start);
                for index in silence {
                    out.push(Event::Audio(AudioFrame { index, data: AudioData::Silence }));
                }
                self.end = self.end.max(grid.time(index) + Ticks(1));
                let data = AudioData::Frame(frame.payload);
                out.push(Event::Audio(AudioFrame { index, data }));
            }
        }
    }

    /// Silence up to `until` where sound should have come by now.
    fn fill_audio(&mut self, until: Ticks, counters: &mut Counters, out: &mut Vec<Event>) {
        let Some(grid) = self.grid.as_mut() else { return };
        for index in grid.fill(until) {
            counters.silence += 1;
            self.end = self.end.max(grid.time(index) + Ticks(1));
            out.push(Event::Audio(AudioFrame { index, data: AudioData::Silence }));
        }
    }
}

/// The largest multiple of `step` that is not after `at`.
fn previous_multiple(at: Ticks, step: Ticks) -> Ticks {
    Ticks(at.0.div_euclid(step.0).saturating_mul(step.0))
}

/// The smallest multiple of `step` that is not before `at`.
fn next_multiple(at: Ticks, step: Ticks) -> Ticks {
    let whole = at.0.div_euclid(step.0) + i64::from(at.0.rem_euclid(step.0) != 0);
    Ticks(whole.saturating_mul(step.0))
}

#[cfg(test)]
mod tests;
