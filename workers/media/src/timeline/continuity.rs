//! Whether a frame's decode time continues its track.
//!
//! A track continues when it steps forward by at most a second, or when it
//! agrees with where the other track is (a gap of one track while the other
//! runs). Anything else is held until the other track speaks: if that jumps
//! too, or stays silent, the source has jumped; if it runs on, the held frames
//! were strays. Sound that has agreed with no picture of its base, and is behind
//! them or far ahead, is a stray at once: of a source whose tracks differ by a
//! constant, the pictures stay. Sound a little ahead costs a base or a few, until
//! one opens at pictures whose sound has come before them.

use serde::{Deserialize, Serialize};

use crate::record::{Frame, Track};

use super::{INTERLEAVING_MS, MAX_STEP_MS};

/// Most frames held while a jump is judged.
const MAX_HELD: usize = 256;
/// So far ahead of its pictures no sound waits for them, in ms: as long as what
/// is held before a base, [`super::MAX_WAITING`].
const MAX_LEAD_MS: i64 = 5_000;
/// A track that has only strays for this long, in ms of the other, has jumped.
const MAX_STRAYS_MS: i64 = 2_000;

/// Both tracks' last decode times and what is held.
#[derive(Debug, Default, Clone)]
pub(super) struct Continuity {
    settled: Settled,
    video_step: Option<i64>,
    suspect: Option<Suspect>,
}

/// All that a fold that goes on from a snapshot has to know, in ms.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settled {
    video_ms: Option<i64>,
    audio_ms: Option<i64>,
    /// How far after its own time the last picture was put: no two have one time.
    #[serde(default, skip_serializing_if = "is_zero")]
    video_ahead_ms: i64,
    /// The track that had strays and has not come back, and the other track's
    /// time when they began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strays: Option<(Track, i64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(ms: &i64) -> bool {
    *ms == 0
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
    /// Not decided yet, or a stray.
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
    /// For a snapshot; `None` while something is held.
    pub(super) fn settled(&self) -> Option<Settled> {
        self.suspect.is_none().then_some(self.settled)
    }

    /// From a snapshot.
    pub(super) fn restore(settled: Settled) -> Self {
        Self { settled, ..Self::default() }
    }

    /// A base opens at this keyframe.
    pub(super) fn start(&mut self, keyframe: &Frame) {
        let video_ms = Some(keyframe.time_ms);
        *self = Self::restore(Settled { video_ms, ..Settled::default() });
    }

    /// The step between the last two pictures, if there was one.
    pub(super) fn video_step_ms(&self) -> Option<i64> {
        self.video_step
    }

    fn last(&self, track: Track) -> Option<i64> {
        match track {
            Track::Video => self.settled.video_ms,
            Track::Audio => self.settled.audio_ms,
        }
    }

    /// Whether `time` continues `track`.
    fn continues(&self, track: Track, time: i64) -> bool {
        let other = match track {
            Track::Video => self.settled.audio_ms,
            Track::Audio => self.settled.video_ms,
        };
        let own = self.last(track);
        let steps = own.is_some_and(|last| (0..=MAX_STEP_MS).contains(&time.saturating_sub(last)));
        let agrees = own.is_none_or(|last| time >= last)
            && other.is_some_and(|other| {
                (-INTERLEAVING_MS..=MAX_STEP_MS).contains(&time.saturating_sub(other))
            });
        steps || agrees
    }

    /// Whether it is sound of a base that has none, which no later picture can
    /// agree with.
    fn is_apart(&self, frame: &Frame) -> bool {
        let first = frame.track == Track::Audio && self.settled.audio_ms.is_none();
        let lead = self.settled.video_ms.map(|video| frame.time_ms.saturating_sub(video));
        first && lead.is_some_and(|lead| !(0..=MAX_LEAD_MS).contains(&lead))
    }

    /// Notes the frame's time, and puts a picture that is not after the one before a millisecond
    /// after it: a clock that stands still loses no picture and doubles none.
    fn advance(&mut self, frame: &mut Frame) {
        let time = frame.time_ms;
        match frame.track {
            Track::Video => {
                let ahead = self.settled.video_ahead_ms;
                let last = self.settled.video_ms.map(|last| last.saturating_add(ahead));
                frame.time_ms = last.map_or(time, |last| time.max(last.saturating_add(1)));
                let step = last.map(|last| frame.time_ms.saturating_sub(last));
                self.video_step =
                    step.filter(|s| (1..=MAX_STEP_MS).contains(s)).or(self.video_step);
                self.settled.video_ms = Some(time);
                self.settled.video_ahead_ms = frame.time_ms.saturating_sub(time);
            }
            Track::Audio => self.settled.audio_ms = Some(time),
        }
    }

    /// Judges one frame of an open base.
    pub(super) fn judge(&mut self, frame: Frame) -> Judged {
        if self.continues(frame.track, frame.time_ms) {
            return self.go_on(frame);
        }
        let kept = |next| Judged { next, dropped: 0 };
        let Some(suspect) = self.suspect.as_mut() else {
            if self.is_apart(&frame) {
                return Judged { next: Verdict::Held, dropped: 1 };
            }
            let other = match frame.track {
                Track::Video => self.settled.audio_ms,
                Track::Audio => self.settled.video_ms,
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
            self.settled.strays.take_if(|(track, _)| *track == frame.track);
            return Judged { next: Verdict::Continues(frame), dropped: 0 };
        };
        if suspect.track == frame.track {
            // It came back to where it was: what is held was nothing.
            let dropped = self.suspect.take().map_or(0, |s| s.frames.len());
            self.settled.strays = None;
            return Judged { next: Verdict::Continues(frame), dropped: dropped as u64 };
        }
        let ran = suspect.other.map_or(i64::MAX, |other| time.saturating_sub(other));
        if ran <= INTERLEAVING_MS {
            return Judged { next: Verdict::Continues(frame), dropped: 0 };
        }
        // The other track runs on: strays, unless they never end.
        let track = suspect.track;
        self.settled.strays.take_if(|(other, _)| *other != track);
        let (_, since) = *self.settled.strays.get_or_insert((track, time.saturating_sub(ran)));
        let mut frames = self.suspect.take().map(|s| s.frames).unwrap_or_default();
        if time.saturating_sub(since) > MAX_STRAYS_MS {
            frames.push(frame);
            return Judged { next: Verdict::Jump(frames), dropped: 0 };
        }
        Judged { next: Verdict::Continues(frame), dropped: frames.len() as u64 }
    }
}
