//! How far a broadcast is published, from one glance at Redis. Pure.

use millrace_media::id::Run;
use millrace_media::published::{BroadcastInfo, Entry, RenditionInfo, RenditionKind};
use millrace_media::time::Ticks;
use millrace_platform::redis::media::EntryId;

use crate::services::Glance;

/// A rendition so far behind the others has nothing to come: it holds nobody up.
const LEFT_BEHIND: Ticks = Ticks::from_ms(10_000);

/// What was published at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    /// The run that holds the lease.
    pub run: Option<Run>,
    /// The last entry of each rendition.
    newest: Vec<Option<EntryId>>,
    /// Up to where every rung has pictures; `None` while one has none.
    pub pictures: Option<Ticks>,
    /// Up to where all renditions are published.
    pub all: Option<Ticks>,
    /// The broadcast's end is published.
    pub ended: bool,
}

impl Edge {
    /// Of this glance; of nothing when Redis has nothing.
    pub fn of(glance: Option<&Glance>) -> Self {
        let Some(Glance { run, info, newest }) = glance else { return Self::default() };
        let ends: Vec<_> = info
            .renditions
            .iter()
            .zip(newest)
            .map(|(rendition, entry)| {
                let video = matches!(rendition.kind, RenditionKind::Video { .. });
                (video, entry.as_ref().map(|entry| end_of(entry, rendition, info)))
            })
            .collect();
        let least = |ends: &mut dyn Iterator<Item = Option<Ticks>>| {
            ends.reduce(|a, b| Some(a?.min(b?))).flatten()
        };
        let furthest = ends.iter().filter_map(|(_, end)| *end).max();
        let counts = |end: &Option<Ticks>| {
            end.is_none_or(|end| furthest.is_none_or(|far| far - end <= LEFT_BEHIND))
        };
        Self {
            run: *run,
            newest: newest.iter().map(|entry| entry.as_ref().map(EntryId::of)).collect(),
            pictures: least(&mut ends.iter().filter(|(video, _)| *video).map(|(_, end)| *end)),
            all: least(&mut ends.iter().map(|(_, end)| *end).filter(counts)),
            ended: info.ended,
        }
    }

    /// Whether anything is published.
    pub fn is_nothing(&self) -> bool {
        self.newest.iter().all(Option::is_none)
    }

    /// Whether something is gone that was there `before`: Redis has lost it.
    pub fn has_lost(&self, before: &Self) -> bool {
        before.newest.iter().enumerate().any(|(n, entry)| match self.newest.get(n) {
            Some(now) => now < entry,
            None => entry.is_some(),
        })
    }
}

fn end_of(entry: &Entry, rendition: &RenditionInfo, info: &BroadcastInfo) -> Ticks {
    let (start, duration) = match entry {
        Entry::Part(part) => (part.start, part.duration),
        Entry::Segment(segment) => (segment.start, segment.duration),
        Entry::End { msn } => {
            let msn = i64::try_from(msn.0).unwrap_or(i64::MAX);
            return Ticks(msn.saturating_mul(info.segment_duration.0));
        }
    };
    Ticks::from_units(start.saturating_add(duration), rendition.timescale)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use millrace_media::id::{BroadcastId, Msn};
    use millrace_media::published::{Access, FrameRate, InitHash, PartInfo};

    fn rendition(name: &str, kind: RenditionKind, timescale: u32) -> RenditionInfo {
        RenditionInfo {
            name: name.parse().unwrap(),
            kind,
            codecs: String::new(),
            timescale,
            bandwidth: 1,
            average_bandwidth: 1,
        }
    }

    fn part(part: u32, timescale: i64, end_ms: i64) -> Entry {
        let end = end_ms * timescale / 1_000;
        let duration = timescale / 5;
        Entry::Part(PartInfo {
            msn: Msn(3),
            part,
            run: Run(1),
            start: end - duration,
            duration,
            bytes: 1,
            independent: true,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b""),
            base: None,
        })
    }

    /// Two rungs and sound, each published up to so many ms.
    pub(in crate::standby) fn edge(run: u64, ends_ms: [Option<i64>; 3]) -> Edge {
        let video = || RenditionKind::Video { width: 2, height: 2 };
        let audio = RenditionKind::Audio { sample_rate: 48_000, channels: 2 };
        let renditions = vec![
            rendition("480p", video(), 90_000),
            rendition("720p", video(), 90_000),
            rendition("audio", audio, 48_000),
        ];
        let info = BroadcastInfo {
            stream: "a.b".parse().unwrap(),
            broadcast: BroadcastId(uuid::Uuid::nil()),
            started_ms: 0,
            segment_duration: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(60_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions,
            ended: false,
            access: Access::default(),
        };
        let newest = ends_ms
            .iter()
            .zip([90_000, 90_000, 48_000])
            .map(|(end, timescale)| {
                let end = (*end)?;
                Some(part(u32::try_from(end / 200).unwrap(), timescale, end))
            })
            .collect();
        Edge::of(Some(&Glance { run: Some(Run(run)), info, newest }))
    }

    #[test]
    fn the_edge_is_that_of_the_slowest() {
        let edge = edge(1, [Some(8_000), Some(7_800), Some(7_600)]);
        assert_eq!(edge.pictures, Some(Ticks::from_ms(7_800)));
        assert_eq!(edge.all, Some(Ticks::from_ms(7_600)));
    }

    #[test]
    fn a_rung_without_a_picture_has_no_edge_and_sound_that_ceased_holds_nobody_up() {
        let begun = edge(1, [Some(200), None, Some(400)]);
        assert_eq!((begun.pictures, begun.all, begun.is_nothing()), (None, None, false));
        let silent = edge(1, [Some(30_000), Some(30_000), Some(4_000)]);
        assert_eq!(silent.all, Some(Ticks::from_ms(30_000)));
        assert!(edge(1, [None; 3]).is_nothing() && Edge::of(None).is_nothing());
    }

    #[test]
    fn what_is_gone_is_noticed_and_what_came_is_not_taken_for_it() {
        let before = edge(1, [Some(8_000), Some(8_000), Some(8_000)]);
        assert!(!before.has_lost(&before));
        assert!(!edge(2, [Some(8_200), Some(8_000), Some(8_000)]).has_lost(&before));
        assert!(!before.has_lost(&Edge::default()));
        assert!(edge(1, [Some(8_000), Some(7_800), Some(8_000)]).has_lost(&before));
        assert!(edge(1, [Some(8_000), None, Some(8_000)]).has_lost(&before));
        assert!(Edge::default().has_lost(&before));
    }
}
