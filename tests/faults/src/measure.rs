//! Numbers compared: what was published, and what a viewer was shown. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::publisher::{RATE, STEP};

/// How far from its place a picture may be, in ms: RTMP has whole milliseconds.
const TOLERANCE_MS: i64 = 3;
/// What is listed so soon after the strike was made before it.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// How long before the strike the undisturbed stream is looked at.
const LOOK_BACK: Duration = Duration::from_secs(4);

/// A picture of a rung, in the order of presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What can be read in it.
    pub(crate) number: Option<u32>,
    /// Presentation time.
    pub(crate) ms: i64,
    /// Discontinuity sequence number of its segment.
    pub(crate) discontinuity: u64,
}

/// What is not as it should be with the pictures of a rung.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// In the log and nowhere shown.
    pub(crate) lost: Vec<u32>,
    /// Shown more than once.
    pub(crate) doubled: Vec<u32>,
    /// Shown after a later one.
    pub(crate) disordered: Vec<u32>,
    /// Shown and not in the log.
    pub(crate) strange: Vec<u32>,
    /// Away from their place between the others of their connection.
    pub(crate) misplaced: Vec<u32>,
    /// Shown without a number that can be read.
    pub(crate) unreadable: usize,
}

/// Holds what a rung shows to what the log has.
pub(crate) fn count(logged: &[u32], shown: &[Shown]) -> Count {
    let truth: BTreeSet<u32> = logged.iter().copied().collect();
    let mut times: BTreeMap<u32, usize> = BTreeMap::new();
    // Where the first picture would be, by connection and discontinuity.
    let mut zero: BTreeMap<(u32, u64), i64> = BTreeMap::new();
    let (mut count, mut last) = (Count::default(), None);
    for picture in shown {
        let Some(number) = picture.number else {
            count.unreadable += 1;
            continue;
        };
        *times.entry(number).or_default() += 1;
        if last.is_some_and(|last| number < last) {
            count.disordered.push(number);
        }
        last = Some(number);
        let place = i64::from(number % STEP) * 1_000 / i64::from(RATE);
        let zero = zero.entry((number / STEP, picture.discontinuity)).or_insert(picture.ms - place);
        if (picture.ms - place - *zero).abs() > TOLERANCE_MS {
            count.misplaced.push(number);
        }
    }
    count.lost = truth.iter().copied().filter(|number| !times.contains_key(number)).collect();
    count.strange = times.keys().copied().filter(|number| !truth.contains(number)).collect();
    count.doubled = times.iter().filter(|(_, times)| **times > 1).map(|(n, _)| *n).collect();
    count
}

/// Pictures with these numbers at their times.
pub(crate) fn in_time(numbers: &[u32]) -> Vec<Shown> {
    let place = |number: u32| i64::from(number % STEP) * 1_000 / i64::from(RATE);
    let shown =
        |number: &u32| Shown { number: Some(*number), ms: place(*number), discontinuity: 0 };
    numbers.iter().map(shown).collect()
}

/// Numbers that are not one more than the one before.
pub(crate) fn breaks(numbers: &[u32]) -> usize {
    let pairs = numbers.iter().zip(numbers.iter().skip(1));
    pairs.filter(|(before, number)| **number != **before + 1).count()
}

/// `3, 7 to 9 (4 in all)`.
pub(crate) fn stretches(numbers: &[u32]) -> String {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match found.last_mut().filter(|(_, end)| end.checked_add(1) == Some(*number)) {
            Some((_, end)) => *end = *number,
            None => found.push((*number, *number)),
        }
    }
    let mut text = String::new();
    for (from, to) in found.iter().take(8) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = if from == to {
            write!(text, "{comma}{from}")
        } else {
            write!(text, "{comma}{from} to {to}")
        };
    }
    let more = if found.len() > 8 { ", …" } else { "" };
    format!("{text}{more} ({} in all)", numbers.len())
}

/// How long a viewer waited for something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waits {
    /// At most, in the seconds before the strike.
    pub(crate) before: Duration,
    /// At most, from the strike until the publisher ended.
    pub(crate) after: Duration,
    /// From each strike until the first part made after it; none when none came.
    pub(crate) next: Vec<Option<Duration>>,
}

/// The waits of a viewer of one rendition, to whom something new came at these times; a strike is at
/// each of `strikes`.
pub(crate) fn waits(arrivals: &[Instant], strikes: &[Instant], over: Instant) -> Waits {
    let struck = strikes.first().copied().unwrap_or(over);
    let in_time = arrivals.iter().copied().filter(|at| *at < over);
    // What never came was waited for to the end.
    let all: Vec<Instant> = in_time.chain([over]).collect();
    let pairs = all.iter().zip(all.iter().skip(1)).map(|(from, to)| (*from, *to));
    let longest = |wanted: &dyn Fn(Instant, Instant) -> bool| {
        let some = pairs.clone().filter(|(from, to)| wanted(*from, *to));
        some.map(|(from, to)| to - from).max().unwrap_or_default()
    };
    Waits {
        before: longest(&|from, to| to <= struck && from + LOOK_BACK >= struck),
        after: longest(&|_, to| to > struck),
        next: strikes.iter().map(|struck| next(arrivals, *struck)).collect(),
    }
}

fn next(arrivals: &[Instant], struck: Instant) -> Option<Duration> {
    arrivals.iter().find(|at| **at > struck + ON_ITS_WAY).map(|at| *at - struck)
}

impl Waits {
    /// Of whoever waited longer.
    pub(crate) fn worse(self, other: Self) -> Self {
        let pairs = self.next.into_iter().zip(other.next);
        Self {
            before: self.before.max(other.before),
            after: self.after.max(other.after),
            next: pairs.map(|(a, b)| a.zip(b).map(|(a, b)| a.max(b))).collect(),
        }
    }

    /// The longest wait for a part made after a strike; none when one never came.
    pub(crate) fn worst_next(&self) -> Option<Duration> {
        let all: Option<Vec<Duration>> = self.next.iter().copied().collect();
        all?.into_iter().max()
    }

    /// The wait that half of the strikes did not exceed.
    pub(crate) fn median_next(&self) -> Option<Duration> {
        let mut all: Vec<Duration> = self.next.iter().map(|n| n.unwrap_or(Duration::MAX)).collect();
        all.sort_unstable();
        all.get(all.len().checked_sub(1)? / 2).copied().filter(|next| *next < Duration::MAX)
    }
}

/// From when to when, in seconds since the first picture, something is missing that the log has.
pub(crate) fn lost_places(logged: &[u32], shown: &[Shown]) -> Vec<(f64, f64)> {
    let lost = count(logged, shown).lost;
    let numbered = || shown.iter().filter_map(|picture| Some((picture.number?, picture.ms)));
    let Some(zero) = shown.first().map(|picture| picture.ms) else { return Vec::new() };
    let seconds =
        |ms: i64| Duration::from_millis(u64::try_from(ms - zero).unwrap_or_default()).as_secs_f64();
    let mut places: Vec<(f64, f64)> = Vec::new();
    for number in lost {
        let before = numbered().filter(|(other, _)| *other < number).map(|(_, ms)| ms).max();
        let after = numbered().filter(|(other, _)| *other > number).map(|(_, ms)| ms).min();
        let from = before.unwrap_or(zero);
        let place = (seconds(from), seconds(after.unwrap_or(from)));
        if places.last() != Some(&place) {
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: u32, ms: i64) -> Shown {
        Shown { number: Some(number), ms, discontinuity: 0 }
    }

    #[test]
    fn pictures_once_in_order_at_their_times_are_as_they_should_be() {
        let rung = [shown(0, 10), shown(1, 43), shown(2, 77), shown(100_000, 2_000)];
        assert_eq!(count(&[0, 1, 2, 100_000], &rung), Count::default());
    }

    #[test]
    fn whatever_is_wrong_with_a_picture_is_told() {
        let rung = [
            shown(0, 0),
            shown(2, 67),
            shown(2, 67),
            shown(1, 33),
            shown(5, 240),
            Shown { number: None, ms: 200, discontinuity: 0 },
        ];
        let count = count(&[0, 1, 2, 3, 4], &rung);
        assert_eq!((count.lost, count.doubled), (vec![3, 4], vec![2]));
        assert_eq!((count.disordered, count.strange), (vec![1], vec![5]));
        assert_eq!((count.misplaced, count.unreadable), (vec![5], 1));
    }

    #[test]
    fn behind_a_discontinuity_pictures_have_another_place() {
        let later = Shown { discontinuity: 1, ..shown(30, 4_000) };
        assert_eq!(count(&[0, 30], &[shown(0, 0), later]), Count::default());
        assert_eq!(count(&[0, 30], &[shown(0, 0), shown(30, 4_000)]).misplaced, [30]);
    }

    #[test]
    fn pictures_lost_at_the_very_end_are_lost() {
        assert_eq!(count(&[0, 1, 2], &[shown(0, 0)]).lost, [1, 2]);
        assert_eq!(count(&[0, 1], &[]).lost, [0, 1]);
    }

    #[test]
    fn numbers_are_told_as_stretches() {
        assert_eq!(stretches(&[3, 7, 8, 9]), "3, 7 to 9 (4 in all)");
        let many: Vec<u32> = (0..20).map(|n| n * 2).collect();
        assert_eq!(stretches(&many), "0, 2, 4, 6, 8, 10, 12, 14, … (20 in all)");
        assert_eq!((breaks(&[4, 5, 6]), breaks(&[4, 6, 7, 7])), (0, 2));
    }

    #[test]
    fn waits_are_told_before_and_after_the_strike() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let arrivals = [0, 3_000, 3_200, 3_450, 4_030, 6_000, 6_200].map(at);
        let waits = waits(&arrivals, &[at(4_000), at(6_150)], at(6_300));
        // What came 30 ms after the strike was made before.
        assert_eq!(waits.next, [Some(Duration::from_secs(2)), None]);
        assert_eq!(waits.after, Duration::from_millis(1_970));
        assert_eq!(waits.before, Duration::from_secs(3));
    }

    #[test]
    fn a_stream_that_never_comes_back_is_waited_for_to_the_end() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let never = waits(&[at(0), at(200)], &[at(300)], at(9_200));
        assert_eq!((never.after, never.worst_next()), (Duration::from_secs(9), None));
        let soon = waits(&[at(0), at(200), at(450), at(9_000)], &[at(300)], at(9_200));
        assert_eq!(soon.worst_next(), Some(Duration::from_millis(150)));
        assert_eq!(soon.worse(never).worst_next(), None);
    }

    #[test]
    fn of_many_waits_the_worst_and_the_middle_one_are_told() {
        let next = [300, 100, 200, 900].map(|ms| Some(Duration::from_millis(ms))).to_vec();
        let mut waits = Waits { before: Duration::ZERO, after: Duration::ZERO, next };
        assert_eq!(waits.worst_next(), Some(Duration::from_millis(900)));
        assert_eq!(waits.median_next(), Some(Duration::from_millis(200)));
        waits.next.push(None);
        assert_eq!(waits.worst_next(), None);
        assert_eq!(waits.median_next(), Some(Duration::from_millis(300)));
    }

    #[test]
    fn a_stretch_that_is_lost_has_one_place() {
        let rung = [shown(0, 1_000), shown(1, 1_033), shown(5, 1_167), shown(6, 1_200)];
        let places = lost_places(&[0, 1, 2, 3, 4, 5, 6, 7], &rung);
        assert_eq!(places, [(0.033, 0.167), (0.2, 0.2)]);
        assert_eq!(lost_places(&[0, 1], &rung), []);
    }
}
