//! Periods (ISO/IEC 23009-1 §5.3.2): one per discontinuity, and one more where
//! an encoder came back with another init segment.
//!
//! A Period must not change when older segments leave the window, nor differ
//! between replicas with more or less history: its id and start are made of
//! what each of its segments says (the discontinuities before it, its wall
//! clock, [`SegmentInfo::base`]).

use std::collections::{BTreeMap, BTreeSet};

use super::set::{PATIENCE, Set, Slot};
use crate::id::Msn;
use crate::published::{BroadcastInfo, SegmentInfo};
use crate::time::{TIMESCALE, Ticks};

const MICROS: i128 = 1_000_000;

/// One Period.
#[derive(Debug)]
pub(super) struct Period<'a> {
    /// `<discontinuities>-<segment it begins with>`.
    pub(super) id: String,
    /// Microseconds from the broadcast's start, on the wall clock.
    pub(super) start: i64,
    /// Where it ends; none if more may come.
    pub(super) end: Option<i64>,
    /// Not empty.
    pub(super) stretches: Vec<Stretch<'a>>,
}

/// The segments of one set in one Period.
#[derive(Debug)]
pub(super) struct Stretch<'a> {
    pub(super) set: &'a Set<'a>,
    /// Not empty; they share their init segments.
    pub(super) slots: &'a [Slot<'a>],
    /// `@presentationTimeOffset`: where the Period starts, in the set's
    /// timescale.
    pub(super) offset: i64,
}

/// The periods of a broadcast, oldest first.
pub(super) fn periods<'a>(
    broadcast: &BroadcastInfo,
    sets: &'a [Set<'a>],
    ended: bool,
) -> Vec<Period<'a>> {
    let grid = Grid::of(broadcast, sets);
    let cuts: Vec<Place> = grid.cuts(sets).into_iter().collect();
    let ends = cuts.iter().skip(1).copied().map(Some).chain([None]);
    let spans = cuts.iter().zip(ends).map(|(cut, end)| (*cut, grid.within(sets, *cut, end)));
    let mut spans: Vec<_> = spans.filter(|(_, found)| !found.is_empty()).collect();
    if !ended && spans.last().is_some_and(|(_, found)| !is_settled(found, sets.len())) {
        spans.pop();
    }
    let mut periods: Vec<Period<'a>> = Vec::new();
    // From the last: where wall clocks disagree, what came later is right.
    for (index, (cut, found)) in spans.into_iter().enumerate().rev() {
        // A presentation that is over begins where its media does.
        let mut period = period(broadcast, cut, found, &grid, ended && index == 0);
        match periods.last().map(|later| later.start) {
            Some(later) if period.start >= later => continue,
            Some(later) => period.end = Some(period.reach().min(later)),
            None => period.end = ended.then(|| period.reach()),
        }
        periods.push(period);
    }
    periods.reverse();
    periods
}

/// Of a set the segments in a Period.
type Found<'a> = (&'a Set<'a>, &'a [Slot<'a>]);

/// Whether a Period can be shown: players take it to have the sets that it has
/// when they first see it. One that does not come is not waited for long.
fn is_settled(found: &[Found<'_>], sets: usize) -> bool {
    found.len() == sets || found.iter().any(|(_, slots)| slots.len() >= PATIENCE)
}

impl Period<'_> {
    /// Where the last set ends for now.
    fn reach(&self) -> i64 {
        let ends = self.stretches.iter().map(|s| self.start.saturating_add(s.length()));
        ends.max().unwrap_or(self.start)
    }
}

impl Stretch<'_> {
    /// Microseconds from the Period's start to the end of the last segment.
    fn length(&self) -> i64 {
        self.micros(self.slots.last().map_or(self.offset, Slot::end))
    }

    /// Microseconds from the Period's start to a moment in the set's timescale,
    /// rounded up: players cut off what passes a Period's end.
    fn micros(&self, at: i64) -> i64 {
        let rate = i128::from(self.set.timescale);
        let micros = i128::from(at.saturating_sub(self.offset)) * MICROS + rate - 1;
        i64::try_from(micros.div_euclid(rate)).unwrap_or(i64::MAX)
    }
}

/// A line of the grid after so many discontinuities: where a Period begins, or
/// a segment belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    discontinuities: u32,
    line: Ticks,
}

/// The grid of segments, and where stretches begin that don't say it.
struct Grid {
    segment: Ticks,
    /// By their discontinuities.
    guessed: BTreeMap<u32, Ticks>,
}

impl Grid {
    fn of(broadcast: &BroadcastInfo, sets: &[Set<'_>]) -> Self {
        let mut grid = Self { segment: broadcast.segment_duration, guessed: BTreeMap::new() };
        let mut first: BTreeMap<u32, (bool, Ticks)> = BTreeMap::new();
        for segment in segments(sets) {
            // From an older writer: as another segment says, or where the
            // window finds it.
            let told = match (segment.discontinuities, segment.base) {
                (0, None) => (false, Ticks::ZERO),
                (_, Some(base)) => (false, base),
                (_, None) => (true, grid.line(segment.msn)),
            };
            first.entry(segment.discontinuities).and_modify(|f| *f = told.min(*f)).or_insert(told);
        }
        grid.guessed = first.into_iter().map(|(count, (_, base))| (count, base)).collect();
        grid
    }

    fn line(&self, msn: Msn) -> Ticks {
        let msn = i64::try_from(msn.0).unwrap_or(i64::MAX);
        Ticks(self.segment.0.saturating_mul(msn))
    }

    /// The segment that begins at a line.
    fn number(&self, line: Ticks) -> i64 {
        line.0.div_euclid(self.segment.0.max(1))
    }

    fn place(&self, segment: &SegmentInfo) -> Place {
        let SegmentInfo { discontinuities, msn, .. } = *segment;
        Place { discontinuities, line: self.line(msn) }
    }

    /// Where Periods begin.
    fn cuts(&self, sets: &[Set<'_>]) -> BTreeSet<Place> {
        let cut = |segment: &SegmentInfo| {
            let Place { discontinuities, line } = self.place(segment);
            let guessed = self.guessed.get(&discontinuities).copied();
            let base = segment.base.or(guessed).map_or(line, |base| base.min(line));
            Place { discontinuities, line: base }
        };
        segments(sets).map(cut).collect()
    }

    /// Of each set the segments from `cut` to `end`.
    fn within<'a>(&self, sets: &'a [Set<'a>], cut: Place, end: Option<Place>) -> Vec<Found<'a>> {
        let before = |slot: &Slot<'_>, place| self.place(slot.lead) < place;
        let of_set = |set: &'a Set<'a>| {
            let (_, rest) = set.slots.split_at(set.slots.partition_point(|s| before(s, cut)));
            let until = end.map_or(rest.len(), |end| rest.partition_point(|s| before(s, end)));
            (set, newest(rest.split_at(until).0))
        };
        sets.iter().map(of_set).filter(|(_, slots)| !slots.is_empty()).collect()
    }
}

fn segments<'a>(sets: &'a [Set<'a>]) -> impl Iterator<Item = &'a SegmentInfo> {
    sets.iter().flat_map(|set| set.segments.iter().copied())
}

/// Of segments that need different init segments, which an older writer does
/// not tell apart, the newest.
fn newest<'a>(slots: &'a [Slot<'a>]) -> &'a [Slot<'a>] {
    let newest = slots.last();
    let other = |slot: &Slot<'_>| newest.is_some_and(|newest| !newest.same_inits(slot));
    slots.split_at(slots.iter().rposition(other).map_or(0, |at| at + 1)).1
}

/// The Period that begins at `cut`; `trimmed`: with its first segment instead.
fn period<'a>(
    broadcast: &BroadcastInfo,
    cut: Place,
    found: Vec<Found<'a>>,
    grid: &Grid,
    trimmed: bool,
) -> Period<'a> {
    let starts = found.iter().filter_map(|(set, slots)| {
        slots.first().map(|slot| Ticks::from_units(slot.lead.start, set.timescale))
    });
    let origin = match starts.min() {
        Some(first) if trimmed => first.max(cut.line),
        _ => cut.line,
    };
    let start = found.first().and_then(|(set, slots)| Some((set.timescale, slots.first()?.lead)));
    let start = start.map_or(0, |(timescale, segment)| {
        wall_clock(broadcast, cut.line, segment, timescale, origin)
    });
    let stretches = found.into_iter().map(|(set, slots)| {
        let units = i128::from(origin.0) * i128::from(set.timescale);
        let offset = i64::try_from(units.div_euclid(i128::from(TIMESCALE))).unwrap_or(i64::MAX);
        Stretch { set, slots, offset }
    });
    Period {
        id: format!("{}-{}", cut.discontinuities, grid.number(cut.line)),
        start,
        end: None,
        stretches: stretches.collect(),
    }
}

/// The wall clock of the moment `at`, microseconds since the broadcast's start,
/// as a segment of the stretch from `base` tells it whose times count in
/// `timescale`.
fn wall_clock(
    broadcast: &BroadcastInfo,
    base: Ticks,
    segment: &SegmentInfo,
    timescale: u32,
    at: Ticks,
) -> i64 {
    // The inverse of how the writer made the date: lines are whole ms apart.
    let since = (Ticks::from_units(segment.start, timescale) - base).as_ms();
    let base_ms = segment.date_ms.saturating_sub(since).saturating_sub(broadcast.started_ms);
    let passed = i128::from((at - base).0) * MICROS / i128::from(TIMESCALE);
    let micros = i128::from(base_ms.max(0)) * 1_000 + passed;
    i64::try_from(micros).unwrap_or(i64::MAX)
}
