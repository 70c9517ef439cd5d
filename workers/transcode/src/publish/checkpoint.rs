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

/// Finds the restart point behind which every rendition is durable, and holds
/// it until the index says so too.
#[derive(Debug)]
pub struct Checkpoints {
    segment: Ticks,
    /// How far the source may run on behind what is committed.
    patience: Ticks,
    done: HashMap<RenditionName, Option<Msn>>,
    candidates: VecDeque<Candidate>,
    /// The furthest that may be committed, not committed yet.
    due: Option<Candidate>,
    committed: Option<i64>,
    /// Where what was committed begins, and the newest keyframe.
    since: Option<Ticks>,
    newest: Option<Ticks>,
}

impl Checkpoints {
    /// For these renditions; `None` where nothing is durable yet.
    pub fn new(segment: Ticks, patience: Ticks, done: HashMap<RenditionName, Option<Msn>>) -> Self {
        Self {
            segment,
            patience,
            done,
            candidates: VecDeque::new(),
            due: None,
            committed: None,
            since: None,
            newest: None,
        }
    }

    /// A keyframe came by.
    pub fn add(&mut self, candidate: Candidate) {
        self.since.get_or_insert(candidate.at);
        self.newest = self.newest.max(Some(candidate.at));
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

    /// The place to commit now, if it is further than what is committed: the
    /// last keyframe at or before the first segment that is not durable
    /// everywhere, and from which no sound of that segment is missing. The same
    /// is said until [`Checkpoints::commit`], or something further.
    pub fn due(&mut self) -> Option<&RestartPoint> {
        if let Some(reached) = self.reached() {
            let point = self.candidates.drain(..=reached).next_back();
            let further = |c: &Candidate| self.committed.is_none_or(|at| c.point.offset > at);
            self.due = point.filter(further).or(self.due.take());
        }
        self.due.as_ref().map(|candidate| &*candidate.point)
    }

    /// What is due is committed.
    pub fn commit(&mut self) {
        if let Some(Candidate { at, point }) = self.due.take() {
            self.committed = Some(point.offset);
            self.since = Some(at);
        }
    }

    /// The source has run on for so long behind what is committed that the log
    /// could lose it.
    pub fn is_overdue(&self) -> bool {
        let (Some(since), Some(newest)) = (self.since, self.newest) else { return false };
        newest - since >= self.patience
    }

    /// The last candidate that everything before is durable of.
    fn reached(&self) -> Option<usize> {
        let done = self.done.values().copied().min().flatten()?;
        let next = i64::try_from(done.next().0).ok()?;
        let boundary = Ticks(next.saturating_mul(self.segment.0));
        let reached = |c: &Candidate| {
            let sound = c.point.snapshot.audio_resumes_at();
            c.at <= boundary && sound.is_none_or(|at| at <= boundary)
        };
        self.candidates.iter().rposition(reached)
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::timeline::Timeline;

    use super::*;

    const SEGMENT: Ticks = Ticks::from_ms(2_000);

    fn name() -> RenditionName {
        "720p".parse().unwrap()
    }

    fn checkpoints() -> Checkpoints {
        let done = HashMap::from([(name(), None)]);
        Checkpoints::new(SEGMENT, Ticks::from_ms(10_000), done)
    }

    /// A keyframe each second, of which the log has one per offset.
    fn keyframes(checkpoints: &mut Checkpoints, seconds: std::ops::Range<i64>) {
        for offset in seconds {
            let snapshot = Timeline::new(SEGMENT).snapshot().unwrap();
            let point = Box::new(RestartPoint { offset, snapshot });
            checkpoints.add(Candidate { at: Ticks::from_ms(offset * 1_000), point });
        }
    }

    fn offset(checkpoints: &mut Checkpoints) -> Option<i64> {
        checkpoints.due().map(|point| point.offset)
    }

    #[test]
    fn what_is_due_is_held_until_it_is_committed() {
        let mut held = checkpoints();
        keyframes(&mut held, 0..6);
        assert_eq!(offset(&mut held), None);
        held.done(&name(), Msn(0));
        assert_eq!([offset(&mut held), offset(&mut held)], [Some(2); 2]);
        held.done(&name(), Msn(1));
        assert_eq!(offset(&mut held), Some(4));
        held.commit();
        assert_eq!(offset(&mut held), None);
        held.done(&name(), Msn(1));
        assert_eq!(offset(&mut held), None);
    }

    #[test]
    fn a_checkpoint_is_overdue_when_the_source_ran_on_for_too_long_behind_it() {
        let mut held = checkpoints();
        keyframes(&mut held, 0..10);
        held.done(&name(), Msn(0));
        assert_eq!((offset(&mut held), held.is_overdue()), (Some(2), false));
        keyframes(&mut held, 10..11);
        assert!(held.is_overdue());
        held.commit();
        assert!(!held.is_overdue());
        keyframes(&mut held, 11..13);
        assert!(held.is_overdue());
    }
}
