//! Periods (ISO/IEC 23009-1 §5.3.2): one per discontinuity, and one more where
//! an encoder came back with another init segment.
//!
//! A Period must not change when older segments leave the window, nor differ
//! between replicas with more or less history: its id and start are made of
//! what each of its segments says (the discontinuities before it, its wall
//! clock, [`SegmentInfo::base`]).

use super::set::{Set, Slot};
use crate::id::Msn;
use crate::published::{BroadcastInfo, InitHash, SegmentInfo};
use crate::time::{TIMESCALE, Ticks};

const MICROS: i128 = 1_000_000;

/// One Period.
#[derive(Debug)]
pub(super) struct Period<'a> {
    /// `<discontinuities>-<hash of its init segments' names>`.
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

/// The periods of a broadcast, oldest first. The first set says where they are.
pub(super) fn periods<'a>(
    broadcast: &BroadcastInfo,
    sets: &'a [Set<'a>],
    ended: bool,
) -> Vec<Period<'a>> {
    let Some(primary) = sets.first() else { return Vec::new() };
    let cuts = cuts(&primary.slots);
    let mut periods: Vec<Period<'a>> = Vec::new();
    // From the last: where wall clocks disagree, what came later is right.
    for (index, cut) in cuts.iter().enumerate().rev() {
        // A presentation that is over begins where its media does.
        let trimmed = cut.continues || (ended && index == 0);
        let mut period = cut.period(broadcast, sets, trimmed);
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

impl Period<'_> {
    /// Where each set ends for now, as `start` counts.
    pub(super) fn ends(&self) -> impl Iterator<Item = i64> {
        self.stretches.iter().map(|stretch| self.start.saturating_add(stretch.length()))
    }

    fn reach(&self) -> i64 {
        self.ends().max().unwrap_or(self.start)
    }
}

impl Stretch<'_> {
    /// Microseconds from the Period's start to the end of the last segment,
    /// rounded up: players cut off what passes a Period's end.
    fn length(&self) -> i64 {
        let end = self.slots.last().map_or(self.offset, Slot::end);
        let rate = i128::from(self.set.timescale);
        let micros = i128::from(end.saturating_sub(self.offset)) * MICROS + rate - 1;
        i64::try_from(micros.div_euclid(rate)).unwrap_or(i64::MAX)
    }
}

/// Where a Period begins.
struct Cut<'a> {
    /// The primary set's first segment in it.
    slot: &'a Slot<'a>,
    /// There is no discontinuity: only the init segments are others.
    continues: bool,
    /// The segment that begins the next one without a discontinuity.
    until: Option<Msn>,
}

fn cuts<'a>(slots: &'a [Slot<'a>]) -> Vec<Cut<'a>> {
    let mut cuts: Vec<Cut<'a>> = Vec::new();
    for slot in slots {
        let mut cut = Cut { slot, continues: false, until: None };
        if let Some(last) = cuts.last_mut()
            && last.slot.lead.discontinuities == slot.lead.discontinuities
        {
            if last.slot.same_inits(slot) {
                continue;
            }
            last.until = Some(slot.lead.msn);
            cut.continues = true;
        }
        cuts.push(cut);
    }
    cuts
}

impl<'a> Cut<'a> {
    /// The Period that begins here; `trimmed`: with its first segment, not with
    /// its discontinuity.
    fn period(&self, broadcast: &BroadcastInfo, sets: &'a [Set<'a>], trimmed: bool) -> Period<'a> {
        let found = sets.iter().map(|set| (set, self.slots(set)));
        let found: Vec<_> = found.filter(|(_, slots)| !slots.is_empty()).collect();
        let timescale = sets.first().map_or(1, |primary| primary.timescale);
        let clock = Clock::of(broadcast, self.slot.lead, timescale);
        let starts = found.iter().filter_map(|(set, slots)| {
            slots.first().map(|slot| Ticks::from_units(slot.lead.start, set.timescale))
        });
        let origin = match starts.min() {
            Some(first) if trimmed => first.max(clock.base),
            _ => clock.base,
        };
        let stretches = found.into_iter().map(|(set, slots)| {
            let units = i128::from(origin.0) * i128::from(set.timescale);
            let offset = i64::try_from(units.div_euclid(i128::from(TIMESCALE))).unwrap_or(i64::MAX);
            Stretch { set, slots, offset }
        });
        let names: String = self.slot.inits().map(InitHash::as_str).collect();
        Period {
            id: format!(
                "{}-{}",
                self.slot.lead.discontinuities,
                InitHash::of(names.as_bytes()).as_str()
            ),
            start: clock.micros(origin),
            end: None,
            stretches: stretches.collect(),
        }
    }

    /// The segments of a set that belong to it, from its first picture on. Of
    /// those that need different init segments the newest.
    fn slots(&self, set: &'a Set<'a>) -> &'a [Slot<'a>] {
        let from = |slot: &Slot<'_>| slot.lead.msn < self.slot.lead.msn;
        let within = |slot: &Slot<'_>| {
            slot.lead.discontinuities == self.slot.lead.discontinuities
                && self.until.is_none_or(|until| slot.lead.msn < until)
        };
        let (_, rest) = set.slots.split_at(set.slots.partition_point(from));
        let (mine, _) = rest.split_at(rest.partition_point(within));
        let newest = mine.last();
        let other = |slot: &Slot<'_>| newest.is_some_and(|newest| !newest.same_inits(slot));
        mine.split_at(mine.iter().rposition(other).map_or(0, |at| at + 1)).1
    }
}

/// The wall clock of the timeline since a discontinuity.
struct Clock {
    base: Ticks,
    /// Of the base, ms since the broadcast's start.
    base_ms: i64,
}

impl Clock {
    /// As a segment tells it whose times count in `timescale`.
    fn of(broadcast: &BroadcastInfo, segment: &SegmentInfo, timescale: u32) -> Self {
        let line = || {
            let msn = i64::try_from(segment.msn.0).unwrap_or(i64::MAX);
            Ticks(broadcast.segment_duration.0.saturating_mul(msn))
        };
        let base = match (segment.discontinuities, segment.base) {
            (0, _) => Ticks::ZERO,
            (_, Some(base)) => base,
            // From an older writer.
            (_, None) => line(),
        };
        // The inverse of how the writer made the date.
        let since = (Ticks::from_units(segment.start, timescale) - base).as_ms();
        let base_ms = segment.date_ms.saturating_sub(since).saturating_sub(broadcast.started_ms);
        Self { base, base_ms: base_ms.max(0) }
    }

    /// Of a moment, microseconds since the broadcast's start.
    fn micros(&self, at: Ticks) -> i64 {
        let passed = i128::from((at - self.base).0) * MICROS / i128::from(TIMESCALE);
        let micros = i128::from(self.base_ms) * 1_000 + passed;
        i64::try_from(micros).unwrap_or(i64::MAX)
    }
}
