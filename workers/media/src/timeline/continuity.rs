//! Whether a frame's decode time continues its track.
//!
//! A track continues when it steps forward by at most a second, or when it
//! agrees with where the other track is (a gap of one track while the other
//! runs). Anything else is held until the other track speaks: if that jumps
//! too, or stays silent, the source has jumped; if it runs on, the held frames
//! were strays.

use crate::record::{Frame, Track};

use super::{INTERLEAVING_MS, MAX_STEP_MS};

/// Most frames held while a jump is judged.
const MAX_HELD: usize = 256;
/// A track that has only strays for this long, in ms of the other, has jumped.
const MAX_STRAYS_MS: i64 = 2_000;

/// Both tracks' last decode times and what is held.
#[derive(Debug, Default, Clone)]
pub(super) struct Continuity {
    video: Option<i64>,
    audio: Option<i64>,
    /// How far after its own time the last picture was put: no two have one time.
    video_ahead: i64,
    video_step: Option<i64>,
    suspect: Option<Suspect>,
    /// The track that had strays and has not come back, and the other track's
    /// time when they began.
    strays: Option<(Track, i64)>,
}

#[derive(Debug, Clone)]
struct Suspect {
    track: Track,
    /// The other track's last time when this began.
    other: Option<i64>,
    frames: Vec<Frame>,
}

/// What to do with a frame.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Goes on in the base.
    Continues(Frame),
    /// Not decided yet.
    Held,
    /// The source jumped: the base closes, these frames are after the jump.
    Jump(Vec<Frame>),
}

/// A verdict, and how many held frames it gave up as strays.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) next: Verdict,
    pub(super) dropped: u64,
}

impl Continuity {
    /// Both tracks' times, for a snapshot; `None` while something is held, or put after its time.
    pub(super) fn settled(&self) -> Option<(Option<i64>, Option<i64>)> {
        let settled = self.suspect.is_none() && self.strays.is_none() && self.video_ahead == 0;
        settled.then_some((self.video, self.audio))
    }

    /// From a snapshot.
    pub(super) fn restore(video: Option<i64>, audio: Option<i64>) -> Self {
        Self { video, audio, ..Self::default() }
    }

    /// A base opens at this keyframe.
    pub(super) fn start(&mut self, keyframe: &Frame) {
        *self = Self::restore(Some(keyframe.time_ms), None);
    }

    /// The step between the last two pictures, if there was one.
    pub(super) fn video_step_ms(&self) -> Option<i64> {
        self.video_step
    }

    fn last(&self, track: Track) -> Option<i64> {
        match track {
            Track::Video => self.video,
            Track::Audio => self.audio,
        }
    }

    /// Whether `time` continues `track`.
    fn continues(&self, track: Track, time: i64) -> bool {
        let other = match track {
            Track::Video => self.audio,
            Track::Audio => self.video,
        };
        let own = self.last(track);
        let steps = own.is_some_and(|last| (0..=MAX_STEP_MS).contains(&time.saturating_sub(last)));
        let agrees = own.is_none_or(|last| time >= last)
            && other.is_some_and(|other| {
                (-INTERLEAVING_MS..=MAX_STEP_MS).contains(&time.saturating_sub(other))
            });
        steps || agrees
    }

    /// Notes the frame's time, and puts a picture that is not after the one before a millisecond
    /// after it: a clock that stands still loses no picture and doubles none.
    fn advance(&mut self, frame: &mut Frame) {
        let time = frame.time_ms;
        match frame.track {
            Track::Video => {
                let last = self.video.map(|last| last.saturating_add(self.video_ahead));
                frame.time_ms = last.map_or(time, |last| time.max(last.saturating_add(1)));
                let step = last.map(|last| frame.time_ms.saturating_sub(last));
                self.video_step =
                    step.filter(|s| (1..=MAX_STEP_MS).contains(s)).or(self.video_step);
                self.video = Some(time);
                self.video_ahead = frame.time_ms.saturating_sub(time);
            }
            Track::Audio => self.audio = Some(time),
        }
    }

    /// Judges one frame of an open base.
    pub(super) fn judge(&mut self, frame: Frame) -> Judged {
        if self.continues(frame.track, frame.time_ms) {
            return self.go_on(frame);
        }
        let kept = |next| Judged { next, dropped: 0 };
        let Some(suspect) = self.suspect.as_mut() else {
            let other = match frame.track {
                Track::Video => self.audio,
                Track::Audio => self.video,
            };
            let track = frame.track;
            self.suspect = Some(Suspect { track, other, frames: vec![frame] });
            return kept(Verdict::Held);
        };
        let both = suspect.track != frame.track;
        let first = suspect.frames.first().map_or(frame.time_ms, |f| f.time_ms);
        suspect.frames.push(frame);
        let last = suspect.frames.last().map_or(first, |f| f.time_ms);
        // A span that is not plausible is as good as a long one.
        let silent = !(0..INTERLEAVING_MS).contains(&last.saturating_sub(first));
        if both || silent || suspect.frames.len() >= MAX_HELD {
            let frames = self.suspect.take().map(|s| s.frames).unwrap_or_default();
            return kept(Verdict::Jump(frames));
        }
        kept(Verdict::Held)
    }

    fn go_on(&mut self, mut frame: Frame) -> Judged {
        let time = frame.time_ms;
        self.advance(&mut frame);
        let Some(suspect) = &self.suspect else {
            self.strays.take_if(|(track, _)| *track == frame.track);
            return Judged { next: Verdict::Continues(frame), dropped: 0 };
        };
        if suspect.track == frame.track {
            // It came back to where it was: what is held was nothing.
            let dropped = self.suspect.take().map_or(0, |s| s.frames.len());
            self.strays = None;
            return Judged { next: Verdict::Continues(frame), dropped: dropped as u64 };
        }
        let ran = suspect.other.map_or(i64::MAX, |other| time.saturating_sub(other));
        if ran <= INTERLEAVING_MS {
            return Judged { next: Verdict::Continues(frame), dropped: 0 };
        }
        // The other track runs on: strays, unless they never end.
        let track = suspect.track;
        self.strays.take_if(|(other, _)| *other != track);
        let (_, since) = *self.strays.get_or_insert((track, time.saturating_sub(ran)));
        let mut frames = self.suspect.take().map(|s| s.frames).unwrap_or_default();
        if time.saturating_sub(since) > MAX_STRAYS_MS {
            frames.push(frame);
            return Judged { next: Verdict::Jump(frames), dropped: 0 };
        }
        Judged { next: Verdict::Continues(frame), dropped: frames.len() as u64 }
    }
}
