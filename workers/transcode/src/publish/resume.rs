//! What a new writer finds published, and where it goes on. Pure.

use millrace_media::id::Msn;
use millrace_media::index::Head;
use millrace_media::published::{Entry, PartInfo, RenditionInfo, SegmentInfo};
use millrace_media::time::Ticks;

use crate::package::Position;

/// Where one rendition goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenditionResume {
    /// End of what is published, in the rendition's timescale: the first
    /// moment still wanted. `None` if nothing is.
    pub resume_at: Option<i64>,
    /// The parts of the segment that is not complete.
    pub open: Vec<PartInfo>,
    /// Segments in Redis that the index does not have yet.
    pub unindexed: Vec<SegmentInfo>,
    /// Segments of the index that Redis does not have.
    pub unlisted: Vec<SegmentInfo>,
    /// The segment that comes next: the open one, or one past the last.
    pub next_msn: Option<Msn>,
    /// Discontinuities and wall clock (ms since 1970) where it ends.
    pub edge: Option<Edge>,
    /// The rendition is over.
    pub ended: bool,
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

    /// The place of the next part, if a segment is open.
    pub fn position(&self) -> Option<Position> {
        let last = self.open.last()?;
        Some(Position { msn: last.msn, part: last.part.saturating_add(1) })
    }
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
    let mut resume = RenditionResume::default();
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
            }
            Entry::Part(part) => {
                if listed.is_none_or(|msn| part.msn > msn) {
                    // A segment that never was completed gives way.
                    resume.open.retain(|open| open.msn == part.msn);
                    resume.open.push(part.clone());
                    resume.resume_at = Some(part.start.saturating_add(part.duration));
                    resume.next_msn = Some(part.msn);
                    resume.edge = after(part.discontinuities, part.date_ms, part.duration);
                }
            }
            Entry::End { .. } => resume.ended = true,
        }
    }
    let known = resume.open.last().map(|p| p.msn).max(listed);
    let newer = indexed.iter().filter(|s| known.is_none_or(|msn| s.msn >= msn));
    for segment in newer.filter(|s| listed != Some(s.msn)) {
        // The index is ahead of Redis: it was away, or lost what it had.
        resume.open.retain(|part| part.msn > segment.msn);
        resume.resume_at = Some(segment.start.saturating_add(segment.duration));
        resume.next_msn = Some(segment.msn.next());
        resume.edge = after(segment.discontinuities, segment.date_ms, segment.duration);
        resume.unlisted.push(segment.clone());
    }
    resume.ended |= head.is_some_and(|h| h.info.ended);
    resume
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_media::id::{BroadcastId, RenditionName, Run};
    use millrace_media::published::{BroadcastInfo, FrameRate, InitHash, RenditionKind};

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
    fn segments_that_only_redis_has_are_to_be_indexed() {
        let entries = [Entry::Part(part(3, 0)), Entry::Segment(segment(3))];
        let resume = plan(&entries, Some(&head(0..2)));
        assert_eq!(resume.unindexed, [segment(3)]);
        assert_eq!(resume.position(), None);
        assert_eq!(resume.resume_at, Some(4 * 180_000));
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
