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

    /// Moves all segments up to the last complete one to a chunk once there
    /// are enough of them. The caller stores the chunk before the head.
    pub fn cut_chunk(&mut self) -> Option<(ChunkRef, Chunk)> {
        let last = self.complete()?;
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
