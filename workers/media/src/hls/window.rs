//! The window of one rendition: what its media playlist lists now.

use std::collections::VecDeque;

use crate::id::{Msn, Run};
use crate::published::{BroadcastInfo, Entry, MediaName, PartInfo, RenditionInfo, SegmentInfo};
use crate::time::{TIMESCALE, Ticks};

/// The last thing a rendition lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Segment, complete or growing.
    pub msn: Msn,
    /// Its last part. `None` when its parts are not known, as after a start
    /// from the object store's index.
    pub part: Option<u32>,
}

/// Whether what a player asks for is there (RFC 8216bis §6.2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Answer now.
    Available,
    /// Hold the request until it is.
    Later,
    /// So far ahead that it must be a mistake: 400.
    TooFar,
}

/// Segments that are remembered when they are no longer listed: whoever read
/// the list just before still asks for them.
const REMEMBERED: usize = 3;

/// A complete segment, and its parts while they are listed.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) info: SegmentInfo,
    pub(super) parts: Vec<PartInfo>,
}

/// What one rendition's playlist lists, folded from its entries in order.
///
/// Numbers are contiguous. Where the entries leave a segment out, all before
/// the hole goes: a playlist can't skip a number.
#[derive(Debug, Clone)]
pub struct Window {
    timescale: u32,
    segment_duration: Ticks,
    part_target: Ticks,
    /// How far back the list reaches.
    reach_back: Ticks,
    segments: VecDeque<Segment>,
    /// The last ones that left the list by their age, oldest first.
    gone: VecDeque<SegmentInfo>,
    /// Parts of the segment that grows, from its first.
    open: Vec<PartInfo>,
    last_id: Option<(u64, u64)>,
    ended: bool,
}

impl Window {
    /// Before the first entry.
    pub fn new(broadcast: &BroadcastInfo, rendition: &RenditionInfo) -> Self {
        Self {
            timescale: rendition.timescale,
            segment_duration: broadcast.segment_duration,
            part_target: broadcast.part_target,
            reach_back: broadcast.dvr_window,
            segments: VecDeque::new(),
            gone: VecDeque::new(),
            open: Vec::new(),
            last_id: None,
            ended: false,
        }
    }

    /// Takes the next entry. One whose id is not above the last one's changes
    /// nothing, so reading the log again from anywhere is harmless. Tells
    /// whether the playlist changed.
    pub fn apply(&mut self, entry: &Entry) -> bool {
        if self.ended || self.last_id.is_some_and(|last| entry.id() <= last) {
            return false;
        }
        self.last_id = Some(entry.id());
        let changed = match entry {
            Entry::Part(part) => self.apply_part(part),
            Entry::Segment(segment) => {
                self.apply_segment(segment);
                true
            }
            Entry::End { .. } => {
                self.open.clear();
                self.ended = true;
                true
            }
        };
        self.trim();
        changed
    }

    fn apply_part(&mut self, part: &PartInfo) -> bool {
        if self.open.first().is_some_and(|open| open.msn != part.msn) {
            self.open.clear();
        }
        if usize::try_from(part.part) != Ok(self.open.len()) {
            // We came in the middle of this segment: it appears when complete.
            return false;
        }
        if part.duration > self.ticks(self.part_target) {
            // The source's pictures stopped for a while. No part may be longer
            // than the target: the segment appears when it is complete.
            return false;
        }
        if part.part == 0 {
            self.forget_unless_next(part.msn);
        }
        self.open.push(part.clone());
        true
    }

    fn apply_segment(&mut self, info: &SegmentInfo) {
        self.forget_unless_next(info.msn);
        let mut parts = std::mem::take(&mut self.open);
        let whole = parts.iter().map(|p| p.duration).sum::<i64>() == info.duration
            && parts.first().is_some_and(|p| p.msn == info.msn);
        if !whole {
            // The parts of a complete segment must make up all of it.
            parts.clear();
        }
        self.segments.push_back(Segment { info: info.clone(), parts });
    }

    /// Drops all segments if `msn` doesn't follow them.
    fn forget_unless_next(&mut self, msn: Msn) {
        if self.segments.back().is_some_and(|last| last.info.msn.next() != msn) {
            self.segments.clear();
        }
    }

    /// Drops what is too old: segments outside the DVR window (never so many
    /// that fewer than three target durations stay, §6.2.2), and parts more
    /// than three target durations from the end (§4.4.4.9). At the end of the
    /// broadcast all parts go: they are the ones nobody keeps.
    ///
    /// Distances are sums of durations: the timeline also has what lacks before
    /// a discontinuity.
    fn trim(&mut self) {
        let (listed, shown) = (self.ticks(self.target_span(3)), self.shown());
        let mut rest = self.length();
        while let (Some(first), true) = (self.segments.front(), self.segments.len() > 1) {
            rest = rest.saturating_sub(first.info.duration);
            if rest < shown {
                break;
            }
            let old = self.segments.pop_front();
            self.gone.extend(old.map(|segment| segment.info));
            if self.gone.len() > REMEMBERED {
                self.gone.pop_front();
            }
        }
        let mut age = self.growing();
        for segment in self.segments.iter_mut().rev() {
            if self.ended || age >= listed {
                segment.parts = Vec::new();
            }
            age = age.saturating_add(segment.info.duration);
        }
    }

    /// How much is listed at least, once there is as much.
    fn shown(&self) -> i64 {
        self.ticks(self.reach_back.max(self.target_span(3)))
    }

    fn length(&self) -> i64 {
        let complete: i64 = self.segments.iter().map(|s| s.info.duration).sum();
        self.growing().saturating_add(complete)
    }

    /// Whether older segments belong to the list: it was begun in the middle of
    /// the broadcast, and whoever read it from the start lists more.
    pub fn is_short(&self) -> bool {
        let complete = self.segments.front().map(|segment| segment.info.msn);
        let first = complete.or(self.open.first().map(|part| part.msn));
        first.is_some_and(|first| first > Msn(0)) && self.length() < self.shown()
    }

    /// How much there is of the segment that grows.
    fn growing(&self) -> i64 {
        self.open.iter().map(|part| part.duration).sum()
    }

    /// Where the list ends, in the rendition's timescale.
    pub(super) fn end(&self) -> Option<i64> {
        let part = self.open.last().map(|p| p.start + p.duration);
        part.or_else(|| self.segments.back().map(|s| s.info.start + s.info.duration))
    }

    /// A distance in the rendition's timescale, rounded down.
    fn ticks(&self, distance: Ticks) -> i64 {
        let ticks = i128::from(distance.0) * i128::from(self.timescale) / i128::from(TIMESCALE);
        i64::try_from(ticks).unwrap_or(i64::MAX)
    }

    /// EXT-X-TARGETDURATION in whole seconds, at least 1, the same for all
    /// renditions of a broadcast and all its life.
    ///
    /// A segment ends with the first picture on or after the grid's line, so
    /// it can be one picture longer than nominal, and no picture is longer
    /// than PART-TARGET. §4.4.3.1 compares durations rounded to the nearest.
    pub fn target_duration(&self) -> i64 {
        let longest = self.segment_duration + self.part_target;
        ((longest.0 + TIMESCALE / 2) / TIMESCALE).max(1)
    }

    fn target_span(&self, count: i64) -> Ticks {
        Ticks(self.target_duration() * count * TIMESCALE)
    }

    /// Nothing to list yet.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.open.is_empty()
    }

    /// No more will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Id of the last entry taken, the place to read the log from.
    pub fn last_id(&self) -> Option<(u64, u64)> {
        self.last_id
    }

    /// The last thing listed.
    pub fn last(&self) -> Option<Position> {
        if let Some(part) = self.open.last() {
            return Some(Position { msn: part.msn, part: Some(part.part) });
        }
        let segment = self.segments.back()?;
        Some(Position { msn: segment.info.msn, part: segment.parts.last().map(|p| p.part) })
    }

    /// Wall clock of the end of the list, ms since 1970: how far behind now
    /// the live edge is.
    pub fn edge_ms(&self) -> Option<i64> {
        let after = |date_ms: i64, duration: i64| {
            date_ms + duration.saturating_mul(1_000) / i64::from(self.timescale.max(1))
        };
        let part = self.open.last().map(|p| after(p.date_ms, p.duration));
        part.or_else(|| self.segments.back().map(|s| after(s.info.date_ms, s.info.duration)))
    }

    /// Whether a request with `_HLS_msn` (and `_HLS_part`) can be answered.
    pub fn reach(&self, msn: Msn, part: Option<u32>) -> Reach {
        if self.has(msn, part) {
            return Reach::Available;
        }
        let Some(last) = self.last() else { return Reach::Later };
        let beyond = match (part, last.part) {
            (Some(part), Some(at)) if msn == last.msn => part.saturating_sub(at),
            (Some(part), _) => part,
            (None, _) => 0,
        };
        if msn.0 > last.msn.0.saturating_add(2) || i64::from(beyond) > self.advance_part_limit() {
            Reach::TooFar
        } else {
            Reach::Later
        }
    }

    fn has(&self, msn: Msn, part: Option<u32>) -> bool {
        let complete = self.segments.back().is_some_and(|s| match part {
            // A part past a complete segment's last is the next segment's first.
            Some(part) if s.info.msn == msn => s.parts.is_empty() || listed(&s.parts, part),
            _ => s.info.msn >= msn,
        });
        let growing = self.open.first().is_some_and(|open| match part {
            Some(part) if open.msn == msn => listed(&self.open, part),
            _ => open.msn > msn,
        });
        // After the end the directives are ignored.
        self.ended || complete || growing
    }

    /// How many parts ahead may be asked for: three seconds' worth, or three.
    fn advance_part_limit(&self) -> i64 {
        let target = self.part_target.0.clamp(1, TIMESCALE);
        (3 * TIMESCALE + target - 1) / target
    }

    /// The name the next part will most likely have, for EXT-X-PRELOAD-HINT. A
    /// restart of the encoder or an early end of the segment makes it wrong.
    pub fn hint(&self) -> Option<MediaName> {
        if self.ended {
            return None;
        }
        let (msn, part, run) = self.next_part()?;
        Some(MediaName::Part { msn, part, run })
    }

    fn next_part(&self) -> Option<(Msn, u32, Run)> {
        let Some(last) = self.open.last() else {
            return self.segments.back().map(|s| (s.info.msn.next(), 0, s.info.run));
        };
        let line = i128::from(last.msn.0.saturating_add(1)) * i128::from(self.segment_duration.0);
        let end = i128::from(last.start + last.duration) * i128::from(TIMESCALE);
        if end >= line * i128::from(self.timescale) {
            Some((last.msn.next(), 0, last.run))
        } else {
            Some((last.msn, last.part.saturating_add(1), last.run))
        }
    }

    /// The complete segments that are listed, oldest first; also those that are
    /// gaps.
    pub fn complete(&self) -> impl DoubleEndedIterator<Item = &SegmentInfo> {
        self.segments.iter().map(|segment| &segment.info)
    }

    /// The first and the last of them.
    pub fn complete_range(&self) -> Option<(Msn, Msn)> {
        Some((self.segments.front()?.info.msn, self.segments.back()?.info.msn))
    }

    pub(super) fn segments(&self) -> impl ExactSizeIterator<Item = &Segment> {
        self.segments.iter()
    }

    /// The parts of the segment that grows, from its first.
    pub fn open(&self) -> &[PartInfo] {
        &self.open
    }

    /// The complete segment that begins at this time, at 0 also one that begins
    /// before it; also one that left the list just now.
    pub(super) fn beginning_at(&self, time: i64) -> Option<&SegmentInfo> {
        let place = self.segments.partition_point(|segment| segment.info.start.max(0) < time);
        let listed = self.segments.get(place).map(|segment| &segment.info);
        let begins = |info: &&SegmentInfo| info.start.max(0) == time;
        listed.filter(begins).or_else(|| self.gone.iter().find(begins))
    }

    /// In the rendition's timescale.
    pub(super) fn two_segments(&self) -> i64 {
        self.ticks(self.segment_duration).saturating_mul(2)
    }

    /// How many segments a delta update leaves out: those that end more than
    /// `boundary` before the list does (the Skip Boundary, §6.2.5.1).
    pub(super) fn skippable(&self, boundary: Ticks) -> usize {
        let boundary = self.ticks(boundary);
        let mut age = self.growing();
        let kept = self.segments.iter().rev().take_while(|segment| {
            let young = age <= boundary;
            age = age.saturating_add(segment.info.duration);
            young
        });
        self.segments.len() - kept.count()
    }
}

fn listed(parts: &[PartInfo], part: u32) -> bool {
    usize::try_from(part).is_ok_and(|part| part < parts.len())
}
