//! A broadcast of two rungs and audio, one segment after the other.

use millrace_media::dash;
use millrace_media::hls::Window;
use millrace_media::id::Msn;
use millrace_media::published::{BroadcastInfo, Entry, SegmentInfo};

use crate::broadcast::{Publisher, Twist};

/// Ticks per frame of each rendition: 25 pictures a second, AAC.
const FRAMES: [i64; 3] = [3_600, 3_600, 1_024];

/// What is special about one segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Event {
    /// It ends this many pictures early, and the publisher is away for so many
    /// ms.
    pub(crate) outage: Option<(u32, i64)>,
    /// Another encoder finishes it.
    pub(crate) restart: bool,
    /// This rendition has no media for it.
    pub(crate) gap: Option<usize>,
    /// Whose encoder has other settings from here on.
    pub(crate) init: Option<Whose>,
}

/// One rendition or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    One(usize),
    All,
}

/// The renditions and what is published of them.
pub(crate) struct Course<'a> {
    broadcast: &'a BroadcastInfo,
    publishers: Vec<Publisher<'a>>,
    pub(crate) windows: Vec<Window>,
}

impl<'a> Course<'a> {
    pub(crate) fn new(broadcast: &'a BroadcastInfo) -> Self {
        let renditions = broadcast.renditions.iter();
        let publisher = |(r, frame)| Publisher::new(broadcast, r, frame, 0);
        Self {
            broadcast,
            publishers: renditions.clone().zip(FRAMES).map(publisher).collect(),
            windows: renditions.map(|r| Window::new(broadcast, r)).collect(),
        }
    }

    /// The next segment's entries, rendition by rendition; not yet applied.
    pub(crate) fn segment(&mut self, event: Event) -> Vec<(usize, Vec<Entry>)> {
        let mut all = Vec::new();
        for (index, publisher) in self.publishers.iter_mut().enumerate() {
            let early = event.outage.map_or(0, |(pictures, _)| i64::from(pictures) * 40);
            // In this rendition's frames; sound reaches as far as pictures.
            let frames = early * [25_000, 25_000, 46_875][index] / 1_000_000;
            let cut = event.outage.map(|_| u32::try_from(frames).unwrap());
            let restart = event.restart.then_some(4);
            let has_other = |whose| whose == Whose::All || whose == Whose::One(index);
            let new_init = event.init.is_some_and(has_other) && event.gap != Some(index);
            let mut entries = publisher.segment(Twist { cut, restart, new_init });
            // For what follows.
            publisher.outages += event.outage.map_or(0, |(_, outage)| outage - early);
            if let (true, Some(Entry::Segment(segment))) =
                (event.gap == Some(index), entries.last().cloned())
            {
                entries = vec![Entry::Segment(SegmentInfo { gap: true, ..segment })];
            }
            all.push((index, entries));
        }
        all
    }

    pub(crate) fn apply(&mut self, index: usize, entries: &[Entry]) {
        for entry in entries {
            self.windows[index].apply(entry);
        }
    }

    pub(crate) fn end(&mut self) {
        for (window, publisher) in self.windows.iter_mut().zip(&self.publishers) {
            window.apply(&Entry::End { msn: Msn(publisher.msn) });
        }
    }

    pub(crate) fn manifest(&self) -> Option<String> {
        manifest(self.broadcast, &self.windows)
    }
}

pub(crate) fn manifest(broadcast: &BroadcastInfo, windows: &[Window]) -> Option<String> {
    let listed: Vec<_> = broadcast.renditions.iter().zip(windows).collect();
    dash::manifest(broadcast, &listed)
}
