//! How far the log is no longer needed. Pure.

use std::collections::{HashMap, VecDeque};

use millrace_media::id::{Msn, RenditionName};
use millrace_media::time::Ticks;
use millrace_media::timeline::RestartPoint;

/// Restart points kept: with a keyframe a second, more than half an hour.
const MAX_POINTS: usize = 2_048;

/// A keyframe that a new reader can start at.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its presentation time.
    pub at: Ticks,
    /// Where and how to start.
    pub point: Box<RestartPoint>,
}

/// Finds the restart point behind which every rendition is durable.
#[derive(Debug)]
pub struct Checkpoints {
    segment: Ticks,
    done: HashMap<RenditionName, Option<Msn>>,
    candidates: VecDeque<Candidate>,
    committed: Option<i64>,
}

impl Checkpoints {
    /// For these renditions; `None` where nothing is durable yet.
    pub fn new(segment: Ticks, done: HashMap<RenditionName, Option<Msn>>) -> Self {
        Self { segment, done, candidates: VecDeque::new(), committed: None }
    }

    /// A keyframe came by.
    pub fn add(&mut self, candidate: Candidate) {
        if self.candidates.len() == MAX_POINTS {
            self.candidates.pop_front();
        }
        self.candidates.push_back(candidate);
    }

    /// A rendition's segment is durable, or given up.
    pub fn done(&mut self, rendition: &RenditionName, msn: Msn) {
        let last = self.done.entry(rendition.clone()).or_default();
        *last = (*last).max(Some(msn));
    }

    /// The place to commit now, if it is further than before: the last
    /// keyframe at or before the first segment that is not durable everywhere,
    /// and from which no sound of that segment is missing.
    pub fn take(&mut self) -> Option<Box<RestartPoint>> {
        let done = self.done.values().copied().min().flatten()?;
        let next = i64::try_from(done.next().0).ok()?;
        let boundary = Ticks(next.saturating_mul(self.segment.0));
        let reached = |c: &Candidate| {
            let sound = c.point.snapshot.audio_resumes_at();
            c.at <= boundary && sound.is_none_or(|at| at <= boundary)
        };
        let last = self.candidates.iter().rposition(reached)?;
        let point = self.candidates.drain(..=last).next_back()?.point;
        if self.committed.is_some_and(|offset| point.offset <= offset) {
            return None;
        }
        self.committed = Some(point.offset);
        Some(point)
    }
}
