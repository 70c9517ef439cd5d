//! What a new writer finds published, and where it goes on. Pure.

use millrace_media::id::Msn;
use millrace_media::index::Head;
use millrace_media::published::{Entry, InitHash, PartInfo, RenditionInfo, SegmentInfo};
use millrace_media::time::Ticks;
use millrace_platform::redis::media::EntryId;

use crate::package::{Grid, Position};

/// Lost segments that are listed at most: more than five hours of two seconds.
const LOST: usize = 10_000;

/// Where one rendition goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenditionResume {
    /// End of what is published, in the rendition's timescale: the first
    /// moment still wanted. `None` if nothing is.
    pub resume_at: Option<i64>,
    /// The parts of the segment that is not complete.
    pub open: Vec<PartInfo>,
    /// The last entry in Redis: what is found there beyond it was published by
    /// another writer since.
    pub read: Option<EntryId>,
    /// The segments in Redis, to be listed again should it lose them.
    pub listed: Vec<Entry>,
    /// Segments that the index does not have yet: those in Redis, and before them
    /// those that Redis does not have any more.
    pub unindexed: Vec<SegmentInfo>,
    /// Segments of the index that Redis does not have.
    pub unlisted: Vec<SegmentInfo>,
    /// The segment that comes next: the open one, or one past the last.
    pub next_msn: Option<Msn>,
    /// Discontinuities and wall clock (ms since 1970) where it ends.
    pub edge: Option<Edge>,
    /// What the last media published is part of.
    pub stretch: Option<Stretch>,
    /// The rendition is over.
    pub ended: bool,
}

/// Media without a discontinuity that one init segment serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Discontinuities on the timeline up to here.
    pub discontinuities: u32,
    /// Its init segment.
    pub init: InitHash,
    /// Where it begins. Unknown from older writers.
    pub base: Option<Ticks>,
}

impl Stretch {
    /// That a part is of.
    pub fn of_part(part: &PartInfo) -> Self {
        let PartInfo { discontinuities, base, .. } = *part;
        Self { discontinuities, init: part.init.clone(), base }
    }

    /// That a segment is of; none if it has no media.
    fn of_segment(segment: &SegmentInfo) -> Option<Self> {
        let SegmentInfo { discontinuities, base, .. } = *segment;
        (!segment.gap).then(|| Self { discontinuities, init: segment.init.clone(), base })
    }
}

/// What stands at the end of what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Discontinuities on the timeline up to here.
    pub discontinuities: u32,
    /// Wall clock, ms since 1970.
    pub date_ms: i64,
}

impl Edge {
    /// After media that begins at this wall clock.
    pub fn after(discontinuities: u32, date_ms: i64, duration: i64, timescale: u32) -> Self {
        let lasts = Ticks::from_units(duration, timescale).as_ms();
        Self { discontinuities, date_ms: date_ms.saturating_add(lasts) }
    }
}

impl RenditionResume {
    /// The open segment is to be made again from its start.
    pub fn reopen(&mut self) {
        if let Some(first) = self.open.first() {
            self.resume_at = Some(first.start);
            self.edge =
                Some(Edge { discontinuities: first.discontinuities, date_ms: first.date_ms });
        }
        self.open.clear();
    }

    /// Redis was emptied, and who filled it again died: an open segment that
    /// lacks a part is to be made again from its start. `before` is where what
    /// was published ended before it, and what stood there.
    fn give_up_torn(&mut self, before: (Option<i64>, Option<Edge>)) {
        if (0..).zip(&self.open).any(|(number, part)| part.part != number) {
            self.open.clear();
            (self.resume_at, self.edge) = before;
        }
    }

    /// The place of the next part, if a segment is open.
    pub fn position(&self) -> Option<Position> {
        let last = self.open.last()?;
        Some(Position { msn: last.msn, part: last.part.saturating_add(1) })
    }
}

/// The segments after `last`, the index's last one, and before the first entry
/// that Redis still has: nobody has their descriptions any more.
fn lost(segment: Ticks, timescale: u32, last: Msn, first: &Entry) -> Vec<SegmentInfo> {
    let (run, discontinuities, date_ms, init) = match first {
        Entry::Part(part) => (part.run, part.discontinuities, part.date_ms, &part.init),
        Entry::Segment(info) => (info.run, info.discontinuities, info.date_ms, &info.init),
        Entry::End { .. } => return Vec::new(),
    };
    let grid = Grid { timescale, segment, part_target: segment };
    let first = Msn(EntryId::of(first).msn);
    let gap = |msn| {
        let (start, end) = (grid.start(msn), grid.start(msn.next()));
        let before = grid.start(first).saturating_sub(start);
        SegmentInfo {
            msn,
            run,
            start,
            duration: end.saturating_sub(start),
            bytes: 0,
            discontinuities,
            date_ms: date_ms.saturating_sub(Ticks::from_units(before, timescale).as_ms()),
            init: init.clone(),
            gap: false,
            base: None,
        }
    };
    (last.next().0..first.0).take(LOST).map(|msn| gap(Msn(msn))).collect()
}

/// Compares the index's head with the entries of the playlist in Redis.
pub fn plan(rendition: &RenditionInfo, entries: &[Entry], head: Option<&Head>) -> RenditionResume {
    let name = &rendition.name;
    let after = |discontinuities, date_ms, duration| {
        Some(Edge::after(discontinuities, date_ms, duration, rendition.timescale))
    };
    let indexed = head.and_then(|h| h.segments.get(name)).map_or(&[][..], Vec::as_slice);
    let chunked = head.and_then(|h| h.chunks.last()).map(|c| c.last);
    let index_last = indexed.last().map(|s| s.msn).or(chunked);
    let mut listed: Option<Msn> = None;
    let mut before_open = (None, None);
    let mut resume = RenditionResume {
        stretch: indexed.iter().rev().find_map(Stretch::of_segment),
        read: entries.last().map(EntryId::of),
        listed: entries.iter().filter(|e| matches!(e, Entry::Segment(_))).cloned().collect(),
        ..RenditionResume::default()
    };
    if let (Some(head), Some(last), Some(first)) = (head, index_last, entries.first()) {
        resume.unindexed = lost(head.info.segment_duration, rendition.timescale, last, first);
    }
    for entry in entries {
        match entry {
            Entry::Segment(segment) => {
                listed = Some(segment.msn);
                if index_last.is_none_or(|last| segment.msn > last) {
                    resume.unindexed.push(segment.clone());
                }
                resume.open.retain(|part| part.msn > segment.msn);
                resume.resume_at = Some(segment.start.saturating_add(segment.duration));
                resume.next_msn = Some(segment.msn.next());
                resume.edge = after(segment.discontinuities, segment.date_ms, segment.duration);
                resume.stretch = Stretch::of_segment(segment).or(resume.stretch);
            }
            Entry::Part(part) => {
                if listed.is_none_or(|msn| part.msn > msn) {
                    if resume.open.is_empty() {
                        before_open = (resume.resume_at, resume.edge);
                    }
                    // A segment that never was completed gives way.
                    resume.open.retain(|open| open.msn == part.msn);
                    resume.open.push(part.clone());
                    resume.resume_at = Some(part.start.saturating_add(part.duration));
                    resume.next_msn = Some(part.msn);
                    resume.edge = after(part.discontinuities, part.date_ms, part.duration);
                    resume.stretch = Some(Stretch::of_part(part));
                }
            }
            Entry::End { .. } => resume.ended = true,
        }
    }
    resume.give_up_torn(before_open);
    let known = resume.open.last().map(|p| p.msn).max(listed);
    let newer = indexed.iter().filter(|s| known.is_none_or(|msn| s.msn >= msn));
    for segment in newer.filter(|s| listed != Some(s.msn)) {
        // The index is ahead of Redis: it was away, or lost what it had.
        resume.open.retain(|part| part.msn > segment.msn);
        resume.resume_at = Some(segment.start.saturating_add(segment.duration));
        resume.next_msn = Some(segment.msn.next());
        resume.edge = after(segment.discontinuities, segment.date_ms, segment.duration);
        resume.stretch = Stretch::of_segment(segment).or(resume.stretch);
        resume.unlisted.push(segment.clone());
    }
    resume.ended |= head.is_some_and(|h| h.info.ended);
    resume
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_media::id::{BroadcastId, RenditionName, Run};
    use millrace_media::published::{Access, BroadcastInfo, FrameRate, InitHash, RenditionKind};

    fn part(msn: u64, part: u32) -> PartInfo {
        PartInfo {
            msn: Msn(msn),
            part,
            run: Run(1),
            start: i64::try_from(msn).unwrap() * 180_000 + i64::from(part) * 18_000,
            duration: 18_000,
            bytes: 10,
            independent: part == 0,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b""),
            base: Some(Ticks::ZERO),
        }
    }

    fn segment(msn: u64) -> SegmentInfo {
        SegmentInfo {
            msn: Msn(msn),
            run: Run(1),
            start: i64::try_from(msn).unwrap() * 180_000,
            duration: 180_000,
            bytes: 10,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b""),
            gap: false,
            base: None,
        }
    }

    fn head(msns: std::ops::Range<u64>) -> Head {
        let info = BroadcastInfo {
            stream: "a.b".parse().unwrap(),
            broadcast: BroadcastId(uuid::Uuid::nil()),
            started_ms: 0,
            segment_duration: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(60_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: Vec::new(),
            ended: false,
            access: Access::default(),
        };
        let mut head = Head::new(info, Run(1));
        for msn in msns {
            head.push(&name(), segment(msn));
        }
        head
    }

    fn name() -> RenditionName {
        "720p".parse().unwrap()
    }

    fn plan(entries: &[Entry], head: Option<&Head>) -> RenditionResume {
        let rendition = RenditionInfo {
            name: name(),
            kind: RenditionKind::Video { width: 1_280, height: 720 },
            codecs: String::new(),
            timescale: 90_000,
            bandwidth: 1,
            average_bandwidth: 1,
        };
        super::plan(&rendition, entries, head)
    }

    #[test]
    fn nothing_published_means_from_the_start() {
        assert_eq!(plan(&[], None), RenditionResume::default());
    }

    #[test]
    fn the_open_segments_parts_are_adopted() {
        let entries =
            [Entry::Segment(segment(0)), Entry::Part(part(1, 0)), Entry::Part(part(1, 1))];
        let resume = plan(&entries, Some(&head(0..1)));
        assert_eq!(resume.resume_at, Some(180_000 + 36_000));
        assert_eq!(resume.position(), Some(Position { msn: Msn(1), part: 2 }));
        assert_eq!(resume.next_msn, Some(Msn(1)));
        assert_eq!(resume.edge, Some(Edge { discontinuities: 0, date_ms: 200 }));
        assert!(resume.unindexed.is_empty() && resume.unlisted.is_empty());
    }

    #[test]
    fn an_open_segment_that_lacks_a_part_is_made_again_from_its_start() {
        for parts in [&[1, 2][..], &[0, 2]] {
            let parts = parts.iter().map(|number| Entry::Part(part(1, *number)));
            let entries: Vec<_> = [Entry::Segment(segment(0))].into_iter().chain(parts).collect();
            let resume = plan(&entries, Some(&head(0..1)));
            assert_eq!((resume.resume_at, resume.next_msn), (Some(180_000), Some(Msn(1))));
            assert_eq!(resume.position(), None);
        }
    }

    #[test]
    fn segments_that_only_redis_has_are_to_be_indexed() {
        let entries = [Entry::Part(part(3, 0)), Entry::Segment(segment(3))];
        let resume = plan(&entries, Some(&head(0..3)));
        assert_eq!(resume.unindexed, [segment(3)]);
        assert_eq!(resume.position(), None);
        assert_eq!(resume.resume_at, Some(4 * 180_000));
    }

    #[test]
    fn segments_that_neither_has_any_more_are_to_be_indexed_all_the_same() {
        let entries = [Entry::Segment(SegmentInfo { date_ms: 10_000, ..segment(5) })];
        let resume = plan(&entries, Some(&head(0..3)));
        let found: Vec<_> =
            resume.unindexed.iter().map(|s| (s.msn.0, s.start, s.date_ms)).collect();
        let start = |msn: i64| msn * 180_000;
        assert_eq!(found, [(3, start(3), 6_000), (4, start(4), 8_000), (5, start(5), 10_000)]);
        // The open segment's parts are not it, and what follows the index is whole.
        assert_eq!(plan(&[Entry::Part(part(4, 0))], Some(&head(0..3))).unindexed.len(), 1);
        assert!(plan(&[Entry::Part(part(3, 0))], Some(&head(0..3))).unindexed.is_empty());
    }

    #[test]
    fn segments_that_only_the_index_has_are_to_be_listed_again() {
        let resume = plan(&[], Some(&head(0..3)));
        assert_eq!(resume.unlisted.len(), 3);
        assert_eq!(resume.next_msn, Some(Msn(3)));
        assert_eq!(resume.resume_at, Some(3 * 180_000));
    }

    #[test]
    fn an_index_ahead_of_a_half_published_segment_wins() {
        let entries = [Entry::Segment(segment(0)), Entry::Part(part(1, 0))];
        let resume = plan(&entries, Some(&head(0..3)));
        assert!(resume.open.is_empty());
        assert_eq!(resume.unlisted, [segment(1), segment(2)]);
        assert_eq!(resume.resume_at, Some(3 * 180_000));
    }
}
