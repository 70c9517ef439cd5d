//! A broadcast as the object store's index tells it, turned into the same
//! entries that Redis would have given. Pure.

use millrace_media::id::{Msn, RenditionName};
use millrace_media::index::{Chunk, ChunkRef, Head, Segments};
use millrace_media::published::{BroadcastInfo, Entry};

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
    /// Chunks that hold segments of the playlist's window, oldest first.
    pub fn chunks_in_window(head: &Head) -> Vec<ChunkRef> {
        let newest = |list: &Segments| list.values().filter_map(|l| l.last()).map(|s| s.msn).max();
        let last = newest(&head.segments).or(head.chunks.last().map(|c| c.last));
        let window = head.info.dvr_window.0.max(0) / head.info.segment_duration.0.max(1);
        let window = u64::try_from(window).unwrap_or_default();
        let first = Msn(last.unwrap_or_default().0.saturating_sub(window));
        head.chunks.iter().filter(|chunk| chunk.last >= first).cloned().collect()
    }

    /// From a head and those chunks, oldest first.
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
        let view = View::new(self.info);
        view.after(self.entries.iter().map(|(name, entry)| (name, entry))).unwrap_or(view)
    }
}
