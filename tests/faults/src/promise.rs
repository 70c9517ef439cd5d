//! What a fault may cost, and whether a broadcast kept to that. Pure.
//!
//! Counts, contents and order are judged. Times are told, never judged: they are the machine's too.

use std::collections::HashSet;
use std::fmt;

use crate::evidence::{Evidence, Rung};
use crate::measure::{Count, breaks, count, stretches};

/// Which pictures of the log may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// None.
    Nothing,
    /// A stretch of them, and it is.
    OneStretch,
    /// Those between a jump of the clock and the next keyframe, and they are.
    ToTheKeyframe,
}

/// What one fault may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Pictures that were sent last before the connection was lost may be missing in the log.
    pub(crate) unlogged: bool,
    pub(crate) lost: Lost,
    /// So many are marked.
    pub(crate) discontinuities: u64,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.unlogged, self.lost) {
            (false, Lost::Nothing) => "no picture lost",
            (true, Lost::Nothing) => "no picture of the log lost",
            (_, Lost::OneStretch) => "one stretch of pictures lost",
            (_, Lost::ToTheKeyframe) => "no picture lost but from the jump to the next keyframe",
        })?;
        match self.discontinuities {
            0 => write!(f, ", no discontinuity"),
            1 => write!(f, ", one discontinuity"),
            more => write!(f, ", {more} discontinuities"),
        }
    }
}

impl Promise {
    /// What of it was broken, in words; empty when it was kept.
    pub(crate) fn broken(&self, evidence: &Evidence) -> Vec<String> {
        let mut broken = evidence.breaches.clone();
        let Evidence { sent, logged, rungs, .. } = evidence;
        if logged.is_empty() || rungs.is_empty() {
            broken.push("nothing was published, or nothing recorded".to_owned());
        }
        if !logged.is_sorted_by(|before, number| before < number) {
            broken.push("the log has pictures twice or out of order".to_owned());
        }
        let unlogged = unlogged(sent, logged);
        if !self.unlogged && !unlogged.is_empty() {
            broken.push(format!("sent and not in the log: {}", stretches(&unlogged)));
        }
        let inside = inside(&evidence.last, sent, &unlogged);
        if self.unlogged && !inside.is_empty() {
            let what = stretches(&inside);
            broken.push(format!("not in the log, though what was sent later is: {what}"));
        }
        let mut sound = evidence.sound;
        if self.lost == Lost::OneStretch {
            // It ends and begins a little elsewhere than the pictures.
            sound.lost = 0;
        }
        broken.extend(sound.wrong());
        for rung in rungs {
            let mut count = count(logged, &rung.shown);
            count.misplaced.retain(|number| !evidence.standing.contains(number));
            self.rung(rung, &count, &evidence.behind_jumps, &mut broken);
        }
        broken
    }

    fn rung(&self, rung: &Rung, count: &Count, behind_jumps: &[u32], broken: &mut Vec<String>) {
        let name = &rung.name;
        for (what, numbers) in [
            ("shown twice", &count.doubled),
            ("out of order", &count.disordered),
            ("shown and not in the log", &count.strange),
            ("not at their times", &count.misplaced),
        ] {
            if !numbers.is_empty() {
                broken.push(format!("{name}: {what}: {}", stretches(numbers)));
            }
        }
        if count.unreadable > 0 {
            broken.push(format!("{name}: {} pictures without a number", count.unreadable));
        }
        let kept = match self.lost {
            Lost::Nothing => count.lost.is_empty(),
            Lost::OneStretch => !count.lost.is_empty() && breaks(&count.lost) == 0,
            Lost::ToTheKeyframe => !count.lost.is_empty() && count.lost == behind_jumps,
        };
        if !kept {
            broken.push(format!("{name}: lost: {}", stretches(&count.lost)));
        }
        if rung.discontinuities != self.discontinuities {
            let (seen, promised) = (rung.discontinuities, self.discontinuities);
            broken.push(format!("{name}: {seen} discontinuities instead of {promised}"));
        }
    }
}

/// What was sent and is not in the log.
pub(crate) fn unlogged(sent: &[u32], logged: &[u32]) -> Vec<u32> {
    let logged: HashSet<u32> = logged.iter().copied().collect();
    sent.iter().copied().filter(|number| !logged.contains(number)).collect()
}

/// Those that are not at the end of what a connection sent.
fn inside(last: &[u32], sent: &[u32], unlogged: &[u32]) -> Vec<u32> {
    let mut inside = Vec::new();
    let mut ends = true;
    for number in sent.iter().rev() {
        ends |= last.contains(number);
        let is_unlogged = unlogged.contains(number);
        if is_unlogged && !ends {
            inside.push(*number);
        }
        ends &= is_unlogged;
    }
    inside.reverse();
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Shown;

    const NOTHING: Promise = Promise { unlogged: false, lost: Lost::Nothing, discontinuities: 0 };

    /// A rung that shows these numbers in time.
    fn rung(numbers: &[u32]) -> Rung {
        let shown = |number: &u32| Shown {
            number: Some(*number),
            ms: i64::from(*number) * 1_000 / 30,
            discontinuity: 0,
        };
        let shown = numbers.iter().map(shown).collect();
        Rung { name: "480p".to_owned(), shown, discontinuities: 0 }
    }

    fn good() -> Evidence {
        let all: Vec<u32> = (0..9).collect();
        let rungs = vec![rung(&all), rung(&all)];
        Evidence { sent: all.clone(), last: vec![8], logged: all, rungs, ..Evidence::default() }
    }

    #[test]
    fn a_broadcast_that_lost_nothing_keeps_its_promise() {
        assert_eq!(NOTHING.broken(&good()), [""; 0]);
    }

    #[test]
    fn a_picture_missing_in_one_rung_breaks_it_at_the_end_too() {
        for missing in [0, 4, 8] {
            let mut evidence = good();
            evidence.rungs[1].shown.remove(missing);
            let broken = NOTHING.broken(&evidence);
            assert_eq!(broken, [format!("480p: lost: {missing} (1 in all)")]);
        }
    }

    #[test]
    fn a_picture_that_did_not_reach_the_log_breaks_it_unless_that_may_be() {
        let mut evidence = good();
        evidence.sent.push(9);
        evidence.last = vec![9];
        assert_eq!(NOTHING.broken(&evidence), ["sent and not in the log: 9 (1 in all)"]);
        let promise = Promise { unlogged: true, ..NOTHING };
        assert_eq!(promise.broken(&evidence), [""; 0]);
        // One that came before others which are there was not on its way.
        evidence.logged.retain(|number| ![3, 4].contains(number));
        for rung in &mut evidence.rungs {
            rung.shown.retain(|shown| ![Some(3), Some(4)].contains(&shown.number));
        }
        let broken = promise.broken(&evidence);
        assert_eq!(broken, ["not in the log, though what was sent later is: 3 to 4 (2 in all)"]);
        // Unless its connection was lost there.
        evidence.last = vec![4, 9];
        assert_eq!(promise.broken(&evidence), [""; 0]);
    }

    #[test]
    fn behind_a_jump_that_is_lost_which_is_before_the_keyframe_and_nothing_else() {
        let promise = Promise { lost: Lost::ToTheKeyframe, ..NOTHING };
        let mut evidence = Evidence { rungs: vec![rung(&[0, 1, 2, 5, 6, 7, 8])], ..good() };
        evidence.behind_jumps = vec![3, 4];
        assert_eq!(promise.broken(&evidence), [""; 0]);
        evidence.behind_jumps = vec![3, 4, 5];
        assert_eq!(promise.broken(&evidence), ["480p: lost: 3 to 4 (2 in all)"]);
    }

    #[test]
    fn sound_that_is_wrong_breaks_it_but_where_a_stretch_is_lost() {
        let mut evidence = good();
        evidence.sound.lost = 3;
        assert_eq!(NOTHING.broken(&evidence), ["sound: 3 frames lost"]);
        let promise = Promise { lost: Lost::OneStretch, ..NOTHING };
        evidence.rungs = vec![rung(&[0, 1, 4, 5, 6, 7, 8])];
        assert_eq!(promise.broken(&evidence), [""; 0]);
        evidence.sound.doubled = 1;
        assert_eq!(promise.broken(&evidence), ["sound: 1 frames twice"]);
    }

    #[test]
    fn a_picture_without_a_time_of_its_own_has_no_place() {
        let mut evidence = good();
        for rung in &mut evidence.rungs {
            rung.shown[3].ms -= 20;
        }
        assert_eq!(NOTHING.broken(&evidence).len(), 2);
        evidence.standing = vec![3];
        assert_eq!(NOTHING.broken(&evidence), [""; 0]);
    }

    #[test]
    fn a_stretch_that_may_be_lost_must_be_one_and_be_there() {
        let promise = Promise { lost: Lost::OneStretch, ..NOTHING };
        let without = |numbers: &[u32]| {
            let left: Vec<u32> = (0..9).filter(|number| !numbers.contains(number)).collect();
            Evidence { rungs: vec![rung(&left)], ..good() }
        };
        assert_eq!(promise.broken(&without(&[3, 4, 5])), [""; 0]);
        assert_eq!(promise.broken(&without(&[3, 5])), ["480p: lost: 3, 5 (2 in all)"]);
        assert_eq!(promise.broken(&without(&[])).len(), 1);
    }

    #[test]
    fn marks_and_whatever_the_recorder_found_count() {
        let mut evidence = good();
        evidence.rungs[0].discontinuities = 1;
        evidence.breaches.push("480p: its bytes changed".to_owned());
        let broken = NOTHING.broken(&evidence);
        assert_eq!(broken, ["480p: its bytes changed", "480p: 1 discontinuities instead of 0"]);
    }

    #[test]
    fn nothing_at_all_is_no_promise_kept() {
        let broken = NOTHING.broken(&Evidence::default());
        assert_eq!(broken, ["nothing was published, or nothing recorded"]);
    }

    #[test]
    fn a_promise_is_told_in_words() {
        assert_eq!(NOTHING.to_string(), "no picture lost, no discontinuity");
        let promise = Promise { unlogged: true, lost: Lost::Nothing, discontinuities: 1 };
        assert_eq!(promise.to_string(), "no picture of the log lost, one discontinuity");
    }
}
