//! A broadcast as the object store's index tells it, turned into the same
//! entries that Redis would have given. Pure.

use std::collections::BTreeMap;

use millrace_media::id::{Msn, RenditionName};
use millrace_media::index::{Chunk, Head, Segments};
use millrace_media::published::{BroadcastInfo, Entry, RenditionInfo};
use millrace_media::time::Ticks;

use crate::live::view::View;

/// A broadcast's facts and its complete segments as entries.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The facts.
    pub info: BroadcastInfo,
    /// Oldest first within each rendition; with its end when it ended.
    pub entries: Vec<(RenditionName, Entry)>,
}

impl Stored {
    /// From a head and chunks before it, oldest first.
    pub fn new(head: Head, chunks: Vec<Chunk>) -> Self {
        let Head { info, segments, .. } = head;
        let mut entries = Vec::new();
        for list in chunks.into_iter().map(|chunk| chunk.segments).chain([segments]) {
            for (name, list) in list {
                entries.extend(list.into_iter().map(|s| (name.clone(), Entry::Segment(s))));
            }
        }
        if info.ended {
            for rendition in &info.renditions {
                let of_it = entries.iter().filter(|(name, _)| *name == rendition.name);
                let last = of_it.map(|(_, entry)| entry.id().0).max();
                let end = Entry::End { msn: last.map_or(Msn(0), |msn| Msn(msn).next()) };
                entries.push((rendition.name.clone(), end));
            }
        }
        Self { info, entries }
    }

    /// The view of this alone.
    pub fn into_view(self) -> View {
        self.followed_by(Vec::new())
    }

    /// The view of what is older here than all that is `newer` of its rendition,
    /// and that.
    pub fn followed_by(self, newer: Vec<(RenditionName, Entry)>) -> View {
        let mut firsts = BTreeMap::new();
        for (name, entry) in &newer {
            firsts.entry(name.clone()).or_insert(entry.id().0);
        }
        let is_older = |(name, entry): &(RenditionName, Entry)| {
            firsts.get(name).is_none_or(|first| entry.id().0 < *first)
        };
        let entries = self.entries.into_iter().filter(is_older).chain(newer).collect::<Vec<_>>();
        let view = View::new(self.info);
        view.after(entries.iter().map(|(name, entry)| (name, entry))).unwrap_or(view)
    }
}

/// How much of a broadcast its playlists may list.
pub fn window(info: &BroadcastInfo) -> Ticks {
    // Three target durations at least, and no list is as much shorter than the longest.
    let three = Ticks((info.segment_duration + info.part_target).0.saturating_mul(3));
    info.dvr_window.max(three) + three
}

/// How much of a broadcast a piece of its index has. Before a discontinuity
/// segments are short: their number says little.
pub fn length(info: &BroadcastInfo, piece: &Segments) -> Ticks {
    let of = |rendition: &RenditionInfo| {
        let list = piece.get(&rendition.name).into_iter().flatten();
        let units = list.fold(0_i64, |sum, segment| sum.saturating_add(segment.duration));
        Ticks::from_units(units, rendition.timescale)
    };
    info.renditions.iter().map(of).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use millrace_media::id::{BroadcastId, Run};
    use millrace_media::published::{
        Access, FrameRate, InitHash, PartInfo, RenditionKind, SegmentInfo,
    };

    use super::*;

    fn info() -> BroadcastInfo {
        let kind = RenditionKind::Audio { sample_rate: 48_000, channels: 2 };
        let rendition = RenditionInfo {
            name: RenditionName::audio(),
            kind,
            codecs: "mp4a.40.2".to_owned(),
            timescale: 48_000,
            bandwidth: 128_000,
            average_bandwidth: 128_000,
        };
        BroadcastInfo {
            stream: "tests.live".parse().unwrap(),
            broadcast: BroadcastId(uuid::Uuid::nil()),
            started_ms: 0,
            segment_duration: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(60_000),
            frame_rate: FrameRate { num: 25, den: 1 },
            renditions: vec![rendition],
            ended: false,
            access: Access::Public,
        }
    }

    /// Segments 0 to 39, of so many seconds.
    fn segments(seconds: i64) -> Segments {
        let segment = |msn: i64| SegmentInfo {
            msn: Msn(msn.unsigned_abs()),
            run: Run(1),
            start: msn * 96_000,
            duration: seconds * 48_000,
            bytes: 1,
            discontinuities: 0,
            date_ms: msn * 2_000,
            init: InitHash::of(b"init"),
            gap: false,
            base: Some(Ticks::ZERO),
        };
        [(RenditionName::audio(), (0..40).map(segment).collect())].into()
    }

    #[test]
    fn forty_segments_are_a_minute_unless_they_are_short() {
        let info = info();
        assert!(length(&info, &segments(2)) >= window(&info));
        assert!(length(&info, &segments(1)) < window(&info));
    }

    #[test]
    fn of_a_rendition_that_has_newer_entries_only_what_is_older_comes_from_here() {
        let head = Head { segments: segments(2), ..Head::new(info(), Run(1)) };
        let part = PartInfo {
            msn: Msn(30),
            part: 0,
            run: Run(2),
            start: 30 * 96_000,
            duration: 9_216,
            bytes: 1,
            independent: true,
            discontinuities: 0,
            date_ms: 60_000,
            init: InitHash::of(b"init"),
            base: Some(Ticks::ZERO),
        };
        let newer = vec![(RenditionName::audio(), Entry::Part(part.clone()))];
        let view = Stored::new(head, Vec::new()).followed_by(newer);
        let window = view.window(&RenditionName::audio()).unwrap();
        assert_eq!(window.complete_range().map(|(_, last)| last), Some(Msn(29)));
        assert_eq!(window.open(), [part]);
    }
}
