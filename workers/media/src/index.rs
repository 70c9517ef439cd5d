//! The object store's index of a broadcast: what can be played when Redis is
//! away, and what a new writer finds published.
//!
//! One head per run, rewritten only by the run's owner; readers take the
//! highest run. Segments older than a few minutes move to immutable chunks, so
//! the head stays small however long a broadcast is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Msn, RenditionName, Run};
use crate::published::{BroadcastInfo, SegmentInfo};

/// Segments of every rendition, oldest first.
pub type Segments = BTreeMap<RenditionName, Vec<SegmentInfo>>;

/// The small, mutable end of the index: `index/head-<run>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The broadcast; `ended` when no more will come.
    pub info: BroadcastInfo,
    /// The run that owns this head.
    pub run: Run,
    /// Chunks before `segments`, oldest first.
    pub chunks: Vec<ChunkRef>,
    /// Segments since the last chunk.
    pub segments: Segments,
}

/// Where a chunk is and what it spans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunkRef {
    /// First segment in it.
    pub first: Msn,
    /// Last segment in it.
    pub last: Msn,
    /// The run that wrote it.
    pub run: Run,
}

/// An immutable piece of the index: `index/chunk-<first msn>-<run>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// The segments of every rendition.
    pub segments: Segments,
}

impl Head {
    /// Segments of one media sequence number span that are moved to a chunk
    /// together: five minutes of two-second segments.
    pub const CHUNK_SEGMENTS: usize = 150;

    /// An empty index for a run of this broadcast.
    pub fn new(info: BroadcastInfo, run: Run) -> Self {
        Self { info, run, chunks: Vec::new(), segments: Segments::new() }
    }

    /// Adds a segment. One that is already there (same or lower number) is
    /// ignored: a replay may offer it again.
    pub fn push(&mut self, rendition: &RenditionName, segment: SegmentInfo) {
        let chunked = self.chunks.last().is_some_and(|c| segment.msn <= c.last);
        let list = self.segments.entry(rendition.clone()).or_default();
        if !chunked && list.last().is_none_or(|last| last.msn < segment.msn) {
            list.push(segment);
        }
    }

    /// This index, and after it what `later` has that is not in it; the rest as
    /// `later` says.
    #[must_use]
    pub fn followed_by(self, later: &Self) -> Self {
        let mut joined = Self { info: later.info.clone(), run: later.run, ..self };
        for (rendition, segments) in &later.segments {
            for segment in segments {
                joined.push(rendition, segment.clone());
            }
        }
        joined
    }

    /// The last segment that every rendition has.
    pub fn complete(&self) -> Option<Msn> {
        let behind = self.chunks.last().map(|c| c.last);
        self.info
            .renditions
            .iter()
            .map(|r| {
                let last = self.segments.get(&r.name).and_then(|list| list.last());
                last.map(|s| s.msn).or(behind)
            })
            .min()
            .flatten()
    }

    /// Moves all segments before the last complete one to a chunk once there
    /// are enough of them: a head always tells where its broadcast has got to.
    /// The caller stores the chunk before the head.
    pub fn cut_chunk(&mut self) -> Option<(ChunkRef, Chunk)> {
        let last = Msn(self.complete()?.0.checked_sub(1)?);
        let first = self.segments.values().filter_map(|l| l.first()).map(|s| s.msn).min()?;
        let count = last.0.checked_sub(first.0)?.saturating_add(1);
        if usize::try_from(count).ok()? < Self::CHUNK_SEGMENTS {
            return None;
        }
        let mut moved = Segments::new();
        for (name, list) in &mut self.segments {
            let keep = list.partition_point(|s| s.msn <= last);
            let rest = list.split_off(keep);
            moved.insert(name.clone(), std::mem::replace(list, rest));
        }
        let reference = ChunkRef { first, last, run: self.run };
        self.chunks.push(reference.clone());
        Some((reference, Chunk { segments: moved }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{Access, FrameRate, InitHash, RenditionInfo, RenditionKind};
    use crate::time::Ticks;

    fn head() -> Head {
        let rendition = |name: &str| RenditionInfo {
            name: name.parse().unwrap(),
            kind: RenditionKind::Video { width: 2, height: 2 },
            codecs: String::new(),
            timescale: 90_000,
            bandwidth: 1,
            average_bandwidth: 1,
        };
        let info = BroadcastInfo {
            stream: "a.b".parse().unwrap(),
            broadcast: crate::id::BroadcastId(uuid::Uuid::nil()),
            started_ms: 0,
            segment_duration: Ticks::from_ms(2_000),
            part_target: Ticks::from_ms(215),
            dvr_window: Ticks::from_ms(120_000),
            frame_rate: FrameRate { num: 30, den: 1 },
            renditions: vec![rendition("480p"), rendition("720p")],
            ended: false,
            access: Access::default(),
        };
        Head::new(info, Run(3))
    }

    fn segment(msn: u64) -> SegmentInfo {
        SegmentInfo {
            msn: Msn(msn),
            run: Run(3),
            start: 0,
            duration: 1,
            bytes: 1,
            discontinuities: 0,
            date_ms: 0,
            init: InitHash::of(b""),
            gap: false,
            base: None,
        }
    }

    #[test]
    fn a_chunk_takes_five_minutes_and_leaves_the_last_complete_segment() {
        let (low, high): (RenditionName, RenditionName) =
            ("480p".parse().unwrap(), "720p".parse().unwrap());
        let mut head = head();
        for msn in 0..=150 {
            assert_eq!(head.cut_chunk(), None, "before {msn}");
            head.push(&low, segment(msn));
            head.push(&high, segment(msn));
        }
        head.push(&low, segment(151));
        let (reference, chunk) = head.cut_chunk().unwrap();
        assert_eq!(reference, ChunkRef { first: Msn(0), last: Msn(149), run: Run(3) });
        let numbers = |segments: &Segments| -> Vec<(usize, u64)> {
            segments.values().map(|l| (l.len(), l.first().unwrap().msn.0)).collect()
        };
        assert_eq!(numbers(&chunk.segments), [(150, 0), (150, 0)]);
        assert_eq!(numbers(&head.segments), [(2, 150), (1, 150)]);
        assert_eq!(head.complete(), Some(Msn(150)));
        head.push(&high, segment(149));
        assert_eq!(head.segments[&high].len(), 1, "what is in a chunk is not listed twice");
    }

    #[test]
    fn an_index_is_followed_by_what_it_does_not_have() {
        let name: RenditionName = "480p".parse().unwrap();
        let with = |run: u64, segments: std::ops::Range<u64>| {
            let mut head = Head { run: Run(run), ..head() };
            for msn in segments {
                head.push(&name, SegmentInfo { run: Run(run), ..segment(msn) });
            }
            head
        };
        let mut early = with(3, 0..3);
        let chunk = ChunkRef { first: Msn(0), last: Msn(0), run: Run(3) };
        early.chunks.push(chunk.clone());
        let joined = early.followed_by(&with(9, 1..5));
        let runs: Vec<_> = joined.segments[&name].iter().map(|s| (s.msn.0, s.run.0)).collect();
        assert_eq!(runs, [(0, 3), (1, 3), (2, 3), (3, 9), (4, 9)]);
        assert_eq!((joined.run, joined.chunks), (Run(9), vec![chunk]));
    }
}
