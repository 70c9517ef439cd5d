//! Renditions that a player may change between at any segment: all rungs, or
//! the audio.

use std::collections::BTreeMap;

use super::Listed;
use crate::id::Msn;
use crate::published::{InitHash, RenditionInfo, SegmentInfo};

/// An AdaptationSet in the making.
#[derive(Debug)]
pub(super) struct Set<'a> {
    /// Of one kind and one timescale.
    pub(super) renditions: Vec<&'a RenditionInfo>,
    /// Ticks per second of its segments' times.
    pub(super) timescale: u32,
    /// Oldest first.
    pub(super) slots: Vec<Slot<'a>>,
}

/// A segment that every rendition of the set has at the same time. One that a
/// rendition lacks (EXT-X-GAP) or has not published yet is in no slot:
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
    /// Of these renditions; none if there are none.
    pub(super) fn of(listed: &[&Listed<'a>]) -> Option<Self> {
        let ((first, lead), others) = listed.split_first()?;
        let others: Vec<BTreeMap<Msn, &SegmentInfo>> = others
            .iter()
            .map(|(_, window)| window.complete().map(|segment| (segment.msn, segment)).collect())
            .collect();
        let slots = lead.complete().filter_map(|lead| {
            let others = others.iter().map(|list| list.get(&lead.msn).copied());
            let all: Option<Vec<_>> = std::iter::once(Some(lead)).chain(others).collect();
            all.filter(|all| all.iter().all(|s| goes_with(s, lead))).map(|all| Slot { lead, all })
        });
        Some(Self {
            renditions: listed.iter().map(|(rendition, _)| *rendition).collect(),
            timescale: first.timescale.max(1),
            slots: slots.collect(),
        })
    }
}

fn goes_with(segment: &SegmentInfo, lead: &SegmentInfo) -> bool {
    let place = |s: &SegmentInfo| (s.start, s.duration, s.discontinuities);
    !segment.gap && place(segment) == place(lead)
}
