//! Renditions that a player may change between at any segment: all rungs, or
//! the audio.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Listed, growing};
use crate::hls::Window;
use crate::id::Msn;
use crate::published::{BroadcastInfo, InitHash, RenditionInfo, RenditionKind, SegmentInfo};
use crate::time::Ticks;

/// How many segments a rendition may be behind the others before the manifest
/// goes on without it.
pub(super) const PATIENCE: usize = 2;

/// A rendition and all that may be listed of it.
#[derive(Debug)]
pub(super) struct Track<'a> {
    info: &'a RenditionInfo,
    window: &'a Window,
    /// The segment that grows, as it will be.
    growing: Option<SegmentInfo>,
}

impl<'a> Track<'a> {
    pub(super) fn of(broadcast: &BroadcastInfo, listed: &Listed<'a>) -> Self {
        let (info, window) = *listed;
        Self { info, window, growing: growing::segment(broadcast, listed) }
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.info.kind, RenditionKind::Video { .. })
    }

    fn segments(&self) -> impl DoubleEndedIterator<Item = &SegmentInfo> {
        self.window.complete().chain(&self.growing)
    }

    fn grows(&self, msn: Msn) -> bool {
        self.growing.as_ref().is_some_and(|segment| segment.msn == msn)
    }

    /// Wall clock of where it has come to, ms since 1970; of a segment that grows
    /// `begun` after its start. No less than the segment before it reached:
    /// sound may pass the picture at which a discontinuity begins.
    pub(super) fn reached_ms(&self, begun: i64) -> Option<i64> {
        let end = |segment: &SegmentInfo| {
            let lasts = Ticks::from_units(segment.duration, self.info.timescale).as_ms();
            segment.date_ms.saturating_add(lasts)
        };
        let mut newest = self.segments().rev();
        let last = newest.next()?;
        let last_ms =
            if self.grows(last.msn) { last.date_ms.saturating_add(begun) } else { end(last) };
        let before_ms = newest.next().map(|before| end(before).saturating_add(begun));
        Some(before_ms.map_or(last_ms, |ms| ms.max(last_ms)))
    }

    fn first(&self) -> Option<Msn> {
        self.segments().next().map(|segment| segment.msn)
    }

    fn last(&self) -> Option<Msn> {
        let complete = self.window.complete_range().map(|(_, last)| last);
        self.growing.as_ref().map(|segment| segment.msn).or(complete)
    }
}

/// The segments that are listed: those that all renditions have come to, so
/// that players see each with all its media, and in the Period it stays in.
/// None before there is one.
pub(super) fn span(tracks: &[Track<'_>]) -> Option<RangeInclusive<Msn>> {
    Some(tracks.iter().filter_map(Track::first).max()?..=edge(tracks)?)
}

fn edge(tracks: &[Track<'_>]) -> Option<Msn> {
    let live = tracks.iter().filter(|track| !track.window.ended());
    let reached = live.map(|track| track.last().map(|last| last.0));
    let Some((slowest, fastest)) = reached.clone().min().zip(reached.max()) else {
        return Some(Msn(u64::MAX));
    };
    let patience = u64::try_from(PATIENCE).unwrap_or(u64::MAX);
    slowest.max(fastest.and_then(|last| last.checked_sub(patience))).map(Msn)
}

/// An AdaptationSet in the making.
#[derive(Debug)]
pub(super) struct Set<'a> {
    /// Of one kind and one timescale.
    pub(super) renditions: Vec<&'a RenditionInfo>,
    /// Ticks per second of its segments' times.
    pub(super) timescale: u32,
    /// All that its renditions have, in a slot or not; of gaps those that say
    /// what they are a gap in.
    pub(super) segments: Vec<&'a SegmentInfo>,
    /// Oldest first.
    pub(super) slots: Vec<Slot<'a>>,
}

/// A segment that every rendition of the set has at the same time. One that a
/// rendition lacks (EXT-X-GAP) or has nothing of yet is in no slot:
/// `@segmentAlignment` and one timeline for all are promised.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    /// Of the set's first rendition: its times are everybody's.
    pub(super) lead: &'a SegmentInfo,
    /// Of every rendition, in the set's order.
    pub(super) all: Vec<&'a SegmentInfo>,
}

impl Slot<'_> {
    /// One past its last moment, in the set's timescale.
    pub(super) fn end(&self) -> i64 {
        self.lead.start.saturating_add(self.lead.duration)
    }

    /// Whether the renditions need the same init segments for both.
    pub(super) fn same_inits(&self, other: &Slot<'_>) -> bool {
        self.inits().eq(other.inits())
    }

    pub(super) fn inits(&self) -> impl Iterator<Item = &InitHash> {
        self.all.iter().map(|segment| &segment.init)
    }
}

impl<'a> Set<'a> {
    /// Of these segments of these renditions; none if there are none.
    pub(super) fn of(tracks: &[&'a Track<'a>], span: &RangeInclusive<Msn>) -> Option<Self> {
        let (lead, others) = tracks.split_first()?;
        let listed = |segment: &&SegmentInfo| span.contains(&segment.msn);
        let all = tracks.iter().flat_map(|track| track.segments());
        let segments = all.filter(listed).filter(|s| !s.gap || s.base.is_some()).collect();
        let others: Vec<BTreeMap<Msn, &SegmentInfo>> = others
            .iter()
            .map(|track| track.segments().map(|segment| (segment.msn, segment)).collect())
            .collect();
        let slots = lead.segments().filter(listed).filter_map(|lead| {
            let others = others.iter().map(|list| list.get(&lead.msn).copied());
            let all: Option<Vec<_>> = std::iter::once(Some(lead)).chain(others).collect();
            // Some rendition does not have all of it yet.
            let growing = tracks.iter().any(|track| track.grows(lead.msn));
            let goes = |all: &Vec<&SegmentInfo>| all.iter().all(|s| goes_with(s, lead, growing));
            all.filter(goes).map(|all| Slot { lead, all })
        });
        Some(Self {
            renditions: tracks.iter().map(|track| track.info).collect(),
            timescale: lead.info.timescale.max(1),
            segments,
            slots: slots.collect(),
        })
    }
}

/// How long one that grows will be is not known for certain.
fn goes_with(segment: &SegmentInfo, lead: &SegmentInfo, growing: bool) -> bool {
    let place = |s: &SegmentInfo| (s.start, s.discontinuities);
    let alike = growing || segment.duration == lead.duration;
    !segment.gap && alike && place(segment) == place(lead)
}
