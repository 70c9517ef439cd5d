//! A broadcast as the transcoder would publish it, made up.

use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::published::{
    Access, BroadcastInfo, Entry, FrameRate, InitHash, PartInfo, RenditionInfo, RenditionKind,
    SegmentInfo,
};
use millrace_media::time::Ticks;

/// 2026-11-02T12:00:00.000Z
pub(crate) const STARTED_MS: i64 = 1_793_620_800_000;

pub(crate) fn broadcast(dvr_seconds: i64) -> BroadcastInfo {
    let video = |name: &str, width, height, codecs: &str, kbps: u64| RenditionInfo {
        name: name.parse().unwrap(),
        kind: RenditionKind::Video { width, height },
        codecs: codecs.to_owned(),
        timescale: 90_000,
        bandwidth: kbps * 1_070,
        average_bandwidth: kbps * 1_000,
    };
    let audio = RenditionInfo {
        name: RenditionName::audio(),
        kind: RenditionKind::Audio { sample_rate: 48_000, channels: 2 },
        codecs: "mp4a.40.2".to_owned(),
        timescale: 48_000,
        bandwidth: 140_000,
        average_bandwidth: 128_000,
    };
    BroadcastInfo {
        stream: "events.keynote".parse().unwrap(),
        broadcast: "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap(),
        started_ms: STARTED_MS,
        segment_duration: Ticks(180_000),
        part_target: Ticks(19_350),
        dvr_window: Ticks(dvr_seconds * 90_000),
        frame_rate: FrameRate { num: 25, den: 1 },
        renditions: vec![
            video("480p", 854, 480, "avc1.42c01e", 1_500),
            video("720p", 1_280, 720, "avc1.64001f", 3_000),
            audio,
        ],
        ended: false,
        access: Access::default(),
    }
}

/// What is special about one segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Twist {
    /// It ends this many frames early and a discontinuity follows.
    pub(crate) cut: Option<u32>,
    /// A new run takes over before this part.
    pub(crate) restart: Option<u32>,
    /// It needs another init segment than the one before; there are two.
    pub(crate) new_init: bool,
}

/// Entries of one rendition, segment by segment.
pub(crate) struct Publisher<'a> {
    broadcast: &'a BroadcastInfo,
    timescale: i64,
    /// Ticks of the rendition's timescale per frame.
    frame: i64,
    pub(crate) msn: u64,
    run: u64,
    init: u32,
    discontinuities: u32,
    /// Where the last discontinuity or other init segment is.
    base: Ticks,
    /// How much more wall clock than timeline has passed at discontinuities, ms.
    pub(crate) outages: i64,
    /// Start of the next frame.
    at: i64,
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(
        broadcast: &'a BroadcastInfo,
        rendition: &RenditionInfo,
        frame: i64,
        msn: u64,
    ) -> Self {
        let timescale = i64::from(rendition.timescale);
        let mut this = Self {
            broadcast,
            timescale,
            frame,
            msn,
            run: 1,
            init: 0,
            discontinuities: 0,
            base: Ticks::ZERO,
            outages: 0,
            at: 0,
        };
        this.at = this.line(msn);
        this
    }

    /// Where the grid's line in front of a segment is.
    fn line(&self, msn: u64) -> i64 {
        i64::try_from(msn).unwrap() * self.broadcast.segment_duration.0 * self.timescale / 90_000
    }

    /// Where the next segment begins at the earliest.
    fn grid_line(&self) -> Ticks {
        Ticks(i64::try_from(self.msn).unwrap() * self.broadcast.segment_duration.0)
    }

    fn date_ms(&self, at: i64) -> i64 {
        STARTED_MS + self.outages + at * 1_000 / self.timescale
    }

    /// The parts of the next segment, the segment, and on with the one after.
    pub(crate) fn segment(&mut self, twist: Twist) -> Vec<Entry> {
        let start = self.at;
        if twist.new_init {
            self.init = 1 - self.init;
            self.base = self.grid_line();
        }
        let init = InitHash::of(&self.init.to_be_bytes());
        let whole = u32::try_from((self.line(self.msn + 1) - start - 1) / self.frame + 1).unwrap();
        let frames = whole - twist.cut.unwrap_or(0).min(whole - 1);
        let target = self.broadcast.part_target.0 * self.timescale / 90_000;
        let per_part = u32::try_from(target / self.frame).unwrap();
        let mut entries = Vec::new();
        let mut first = 0;
        while first < frames {
            let part = u32::try_from(entries.len()).unwrap();
            let restarts = twist.restart == Some(part);
            self.run += u64::from(restarts);
            let count = per_part.min(frames - first);
            entries.push(Entry::Part(PartInfo {
                msn: Msn(self.msn),
                part,
                run: Run(self.run),
                start: self.at,
                duration: i64::from(count) * self.frame,
                bytes: 1_000,
                independent: self.timescale != 90_000 || part == 0 || restarts,
                discontinuities: self.discontinuities,
                date_ms: self.date_ms(self.at),
                init: init.clone(),
                base: Some(self.base),
            }));
            self.at += i64::from(count) * self.frame;
            first += count;
        }
        entries.push(Entry::Segment(SegmentInfo {
            msn: Msn(self.msn),
            run: Run(self.run),
            start,
            duration: self.at - start,
            bytes: 10_000,
            discontinuities: self.discontinuities,
            date_ms: self.date_ms(start),
            init,
            gap: false,
            base: Some(self.base),
        }));
        self.msn += 1;
        if twist.cut.is_some() {
            self.discontinuities += 1;
            self.at = self.line(self.msn);
            self.base = self.grid_line();
        }
        entries
    }
}
