//! The segment of a moment: DASH asks for segments by their time.

use super::window::Window;
use crate::published::{PartInfo, SegmentInfo};

/// What a window has that begins at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'w> {
    /// A segment.
    Whole(&'w SegmentInfo),
    /// One that grows: its parts so far, from the first.
    Growing(&'w [PartInfo]),
    /// Nothing yet; it may be what comes next.
    Later,
    /// Nothing.
    Never,
}

impl Window {
    /// What begins at this time of the rendition's timescale, at 0 also what
    /// begins before it.
    pub fn at(&self, time: u64) -> Moment<'_> {
        let Ok(time) = i64::try_from(time) else { return Moment::Never };
        if let Some(segment) = self.beginning_at(time) {
            return if segment.gap { Moment::Never } else { Moment::Whole(segment) };
        }
        if self.open().first().is_some_and(|first| first.start.max(0) == time) {
            return Moment::Growing(self.open());
        }
        let ahead = time.saturating_sub(self.end().unwrap_or(0));
        let near = 0..=self.two_segments();
        if self.ended() || !near.contains(&ahead) { Moment::Never } else { Moment::Later }
    }
}
