//! The media playlist of one rendition (RFC 8216bis §4.4.2 to §4.4.5).

use std::fmt::Write;

use super::text::{Date, Seconds};
use super::window::{Position, Segment, Window};
use crate::id::RenditionName;
use crate::published::{BroadcastInfo, InitHash, MediaName, PartInfo, RenditionInfo};
use crate::time::{TIMESCALE, Ticks};

/// EXT-X-SKIP needs version 9 (§8); nothing here needs more.
const VERSION: u32 = 9;

/// Where another rendition of the broadcast is, for EXT-X-RENDITION-REPORT.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The other rendition.
    pub rendition: &'a RenditionName,
    /// The last thing its playlist lists.
    pub last: Position,
}

/// The media playlist of a window, whole, or with `skip` as a delta update
/// when there is something to leave out (§6.2.5.1).
///
/// URIs are relative to `/hls/{stream}/{broadcast}/{rendition}/`. Before the
/// first entry the list is empty, which players take for an error: wait.
pub fn media_playlist(
    broadcast: &BroadcastInfo,
    rendition: &RenditionInfo,
    window: &Window,
    reports: &[Report<'_>],
    skip: bool,
) -> String {
    let mut list = List { out: String::new(), timescale: rendition.timescale, last: None };
    let target = window.target_duration();
    let boundary = Ticks(6 * target * TIMESCALE);
    // After the end there are no delta updates.
    let skipped = if skip && !window.ended() { window.skippable(boundary) } else { 0 };
    list.header(broadcast, window, target);
    for (index, segment) in window.segments().enumerate() {
        if index >= skipped {
            list.segment(segment);
            continue;
        }
        if index == 0 {
            _ = writeln!(list.out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        list.last = Some(Standing::of_segment(segment));
    }
    list.open(window.open());
    list.footer(window, reports);
    list.out
}

/// What stands from one segment to the next until a tag changes it.
struct Standing {
    init: InitHash,
    discontinuities: u32,
}

impl Standing {
    fn of_segment(segment: &Segment) -> Self {
        let info = &segment.info;
        Self { init: info.init.clone(), discontinuities: info.discontinuities }
    }
}

/// The playlist being written. Writing to a String cannot fail; results are
/// let go throughout.
struct List {
    out: String,
    timescale: u32,
    /// Of the segment before, listed or skipped.
    last: Option<Standing>,
}

impl List {
    fn header(&mut self, broadcast: &BroadcastInfo, window: &Window, target: i64) {
        let part_target = Seconds::at_least(broadcast.part_target);
        let target_seconds = Seconds::whole(target);
        let first = window.segments().next();
        let open = window.open().first();
        let msn = first.map(|s| s.info.msn).or(open.map(|p| p.msn)).unwrap_or_default();
        let discontinuities =
            first.map(|s| s.info.discontinuities).or(open.map(|p| p.discontinuities));
        _ = write!(
            self.out,
            "#EXTM3U\n\
             #EXT-X-VERSION:{VERSION}\n\
             #EXT-X-TARGETDURATION:{target}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},HOLD-BACK={},\
             CAN-SKIP-UNTIL={}\n\
             #EXT-X-PART-INF:PART-TARGET={part_target}\n\
             #EXT-X-MEDIA-SEQUENCE:{msn}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            part_target.times(3),
            target_seconds.times(3),
            target_seconds.times(6),
            discontinuities.unwrap_or_default(),
        );
    }

    fn segment(&mut self, segment: &Segment) {
        let info = &segment.info;
        self.before_segment(Standing::of_segment(segment), info.date_ms);
        self.parts(&segment.parts);
        let duration = Seconds::between(info.start, info.duration, self.timescale);
        let name = MediaName::Segment { msn: info.msn, run: info.run };
        if info.gap {
            self.out.push_str("#EXT-X-GAP\n");
        }
        _ = writeln!(self.out, "#EXTINF:{duration},\n{name}");
    }

    /// The segment that grows: its tags and parts, without a URI of its own.
    fn open(&mut self, parts: &[PartInfo]) {
        let Some(first) = parts.first() else { return };
        let standing =
            Standing { init: first.init.clone(), discontinuities: first.discontinuities };
        self.before_segment(standing, first.date_ms);
        self.parts(parts);
    }

    /// The tags in front of a segment's parts and URI.
    ///
    /// The first segment has no EXT-X-DISCONTINUITY even if it follows one:
    /// EXT-X-DISCONTINUITY-SEQUENCE counts it. So the bytes depend on what is
    /// listed alone, and replicas with more or less history agree.
    fn before_segment(&mut self, now: Standing, date_ms: i64) {
        let before = self.last.as_ref();
        let passed = before.map_or(0, |b| now.discontinuities.saturating_sub(b.discontinuities));
        for _ in 0..passed {
            self.out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if before.is_none_or(|b| b.init != now.init) {
            let name = MediaName::Init(now.init.clone());
            _ = writeln!(self.out, "#EXT-X-MAP:URI=\"{name}\"");
        }
        _ = writeln!(self.out, "#EXT-X-PROGRAM-DATE-TIME:{}", Date(date_ms));
        self.last = Some(now);
    }

    fn parts(&mut self, parts: &[PartInfo]) {
        for part in parts {
            let duration = Seconds::between(part.start, part.duration, self.timescale);
            let name = MediaName::Part { msn: part.msn, part: part.part, run: part.run };
            let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
            _ = writeln!(self.out, "#EXT-X-PART:DURATION={duration},URI=\"{name}\"{independent}");
        }
    }

    fn footer(&mut self, window: &Window, reports: &[Report<'_>]) {
        if window.ended() {
            self.out.push_str("#EXT-X-ENDLIST\n");
            return;
        }
        if let Some(hint) = window.hint() {
            _ = writeln!(self.out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hint}\"");
        }
        for Report { rendition, last } in reports {
            let msn = last.msn;
            _ = write!(
                self.out,
                "#EXT-X-RENDITION-REPORT:URI=\"../{rendition}/media.m3u8\",LAST-MSN={msn}"
            );
            if let Some(part) = last.part {
                _ = write!(self.out, ",LAST-PART={part}");
            }
            self.out.push('\n');
        }
    }
}
