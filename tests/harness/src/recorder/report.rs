//! What a recording saw, and what renditions of one broadcast owe each other.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::fragment::Frame;

/// Most that audio may be away from video at a segment's start, in ms.
const ALIGNED_MS: i64 = 50;

/// A complete segment that was listed and downloaded.
#[derive(Debug, Clone)]
pub struct SeenSegment {
    /// Media sequence number.
    pub msn: u64,
    /// As listed.
    pub uri: String,
    /// Discontinuity sequence number.
    pub discontinuity: u64,
    /// In decode order.
    pub frames: Vec<Frame>,
    /// Its init segment's bytes and its own, when they are kept.
    pub media: Option<(Bytes, Bytes)>,
}

/// A version of the playlist that lists something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When it was read.
    pub at: Instant,
    /// Media sequence number of what is not listed yet.
    pub msn: u64,
    /// Its part.
    pub part: usize,
    /// How much was listed in all until then.
    pub media: Duration,
}

/// Everything about one rendition.
#[derive(Debug, Clone, Default)]
pub struct RenditionReport {
    /// For example `720p`.
    pub name: String,
    /// Video, or audio.
    pub video: bool,
    /// Ticks per second of its frames' times; 0 before the first segment.
    pub timescale: u32,
    /// Versions of the playlist.
    pub versions: u64,
    /// Parts downloaded.
    pub parts: u64,
    /// Segments compared with the sum of their parts.
    pub compared: u64,
    /// Files fetched a second time, at the end.
    pub fetched_again: u64,
    /// Requests that failed, also those that succeeded later.
    pub failures: u64,
    /// The last of them.
    pub last_failure: Option<String>,
    /// When something new was listed, in order.
    pub arrivals: Vec<Arrival>,
    /// The playlist has ended.
    pub ended: bool,
    /// In order.
    pub segments: Vec<SeenSegment>,
    /// Numbers of segments listed as gaps, in order.
    pub gaps: Vec<u64>,
    /// Segments that begin later than the one before ends, and by how much: the source had
    /// nothing there.
    pub holes: Vec<String>,
    /// Why its media could not be looked into, if it could not: times and pictures are not judged.
    pub unread: Option<String>,
    /// How many promises were broken.
    pub breaches: u64,
    /// The first of them.
    pub broken: Vec<String>,
}

impl RenditionReport {
    /// All frames of complete segments, in decode order.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.segments.iter().flat_map(|segment| &segment.frames)
    }

    /// The whole recording as one file for a decoder, when media was kept and
    /// one init segment served all of it.
    pub fn file(&self) -> Option<Vec<u8>> {
        let mut files = self.files();
        files.pop().filter(|_| files.is_empty())
    }

    /// The whole recording as files for a decoder, each as far as one init segment goes; none when
    /// media was not kept of every segment.
    pub fn files(&self) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        let mut now: Option<&Bytes> = None;
        for segment in &self.segments {
            let Some((init, media)) = &segment.media else { return Vec::new() };
            if now != Some(init) {
                files.push(init.to_vec());
                now = Some(init);
            }
            if let Some(file) = files.last_mut() {
                file.extend_from_slice(media);
            }
        }
        files
    }

    /// Numbers of segments and gaps that are not one more than the one before.
    pub fn misnumbered(&self) -> Vec<u64> {
        let seen = self.segments.iter().map(|segment| segment.msn);
        let mut all: Vec<u64> = seen.chain(self.gaps.iter().copied()).collect();
        all.sort_unstable();
        let pairs = all.iter().zip(all.iter().skip(1));
        pairs.filter(|(before, number)| **number != **before + 1).map(|(_, n)| *n).collect()
    }

    /// The longest time in which nothing new was listed.
    pub fn longest_wait(&self) -> Duration {
        let pairs = self.arrivals.iter().zip(self.arrivals.iter().skip(1));
        pairs.map(|(before, after)| after.at - before.at).max().unwrap_or_default()
    }

    /// Ticks as milliseconds.
    fn ms(&self, ticks: i64) -> i64 {
        ticks * 1_000 / i64::from(self.timescale.max(1))
    }

    fn start_ms(&self, segment: &SeenSegment) -> Option<i64> {
        segment.frames.first().map(|frame| self.ms(frame.pts))
    }
}

/// Everything about one broadcast.
#[derive(Debug, Clone)]
pub struct Report {
    /// Sorted by name.
    pub renditions: Vec<RenditionReport>,
    /// Promises broken between renditions.
    pub broken: Vec<String>,
}

impl Report {
    pub(super) fn new(mut renditions: Vec<RenditionReport>) -> Self {
        renditions.sort_by(|a, b| a.name.cmp(&b.name));
        let mut broken = Vec::new();
        let (video, audio): (Vec<_>, Vec<_>) = renditions.iter().partition(|r| r.video);
        if let Some(first) = video.first() {
            for other in video.iter().skip(1) {
                same_times(first, other, &mut broken);
            }
            for other in audio {
                aligned(first, other, &mut broken);
            }
        }
        Self { renditions, broken }
    }

    /// The rendition of this name.
    pub fn rendition(&self, name: &str) -> Option<&RenditionReport> {
        self.renditions.iter().find(|rendition| rendition.name == name)
    }

    /// Whether every rendition has ended.
    pub fn ended(&self) -> bool {
        self.renditions.iter().all(|rendition| rendition.ended)
    }

    /// How many promises were broken, all in all.
    pub fn breaches(&self) -> u64 {
        let own: u64 = self.renditions.iter().map(|rendition| rendition.breaches).sum();
        own + u64::try_from(self.broken.len()).unwrap_or(u64::MAX)
    }
}

/// Segments both have, in pairs.
fn common<'a>(
    one: &'a RenditionReport,
    other: &'a RenditionReport,
) -> impl Iterator<Item = (&'a SeenSegment, &'a SeenSegment)> {
    one.segments.iter().filter_map(|segment| {
        let same = other.segments.iter().find(|s| s.msn == segment.msn)?;
        Some((segment, same))
    })
}

/// Rungs show the same pictures at the same times.
fn same_times(one: &RenditionReport, other: &RenditionReport, broken: &mut Vec<String>) {
    let times = |s: &SeenSegment| s.frames.iter().map(|f| (f.pts, f.duration)).collect::<Vec<_>>();
    for (a, b) in common(one, other) {
        if times(a) != times(b) || a.discontinuity != b.discontinuity {
            let msn = a.msn;
            broken.push(format!("{} and {} differ in segment {msn}", one.name, other.name));
        }
    }
}

/// Audio starts where video does, and has its discontinuities.
fn aligned(video: &RenditionReport, audio: &RenditionReport, broken: &mut Vec<String>) {
    for (a, b) in common(video, audio) {
        let away = video.start_ms(a).zip(audio.start_ms(b)).map(|(a, b)| b - a);
        if let Some(away) = away.filter(|away| away.abs() > ALIGNED_MS) {
            broken.push(format!("segment {}: audio is {away} ms away from video", a.msn));
        }
        if a.discontinuity != b.discontinuity {
            broken.push(format!("segment {}: audio and video count discontinuities", a.msn));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for r in &self.renditions {
            let frames = r.frames().count();
            let first = r.frames().next().map_or(0, |frame| r.ms(frame.dts));
            let end = r.frames().last().map_or(0, |frame| r.ms(frame.dts + frame.duration));
            let numbers = r.segments.first().zip(r.segments.last()).map(|(a, b)| (a.msn, b.msn));
            let (from, to) = numbers.unwrap_or_default();
            writeln!(
                f,
                "{}: {} playlists, {} parts, {} segments ({from} to {to}), {frames} frames from \
                 {first} to {end} ms, {} compared with parts, {} fetched twice, {} gaps, \
                 {} failed requests, waited at most {} ms{}",
                r.name,
                r.versions,
                r.parts,
                r.segments.len(),
                r.compared,
                r.fetched_again,
                r.gaps.len(),
                r.failures,
                r.longest_wait().as_millis(),
                if r.ended { ", ended" } else { "" },
            )?;
            if let Some(failure) = &r.last_failure {
                writeln!(f, "  last failure: {failure}")?;
            }
            if let Some(why) = &r.unread {
                writeln!(f, "  not looked into: {why}")?;
            }
            for hole in r.holes.iter().take(20) {
                writeln!(f, "  HOLE: {hole}")?;
            }
            for what in r.broken.iter().take(20) {
                writeln!(f, "  BROKEN: {what}")?;
            }
            if r.breaches > 20 {
                writeln!(f, "  … {} in all", r.breaches)?;
            }
        }
        for what in self.broken.iter().take(20) {
            writeln!(f, "BROKEN: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(msn: u64, init: &'static [u8]) -> SeenSegment {
        let media = (Bytes::from_static(init), Bytes::from_static(b"m"));
        SeenSegment {
            msn,
            uri: String::new(),
            discontinuity: 0,
            frames: Vec::new(),
            media: Some(media),
        }
    }

    fn rendition(segments: Vec<SeenSegment>) -> RenditionReport {
        RenditionReport { segments, ..RenditionReport::default() }
    }

    #[test]
    fn a_number_left_out_and_one_used_twice_are_told() {
        let numbers = |msns: &[u64]| msns.iter().map(|msn| segment(*msn, b"i")).collect();
        let mut report = rendition(numbers(&[3, 4, 6, 7, 7, 9]));
        assert_eq!(report.misnumbered(), [6, 7, 9]);
        report.gaps = vec![5, 8];
        assert_eq!(report.misnumbered(), [7]);
    }

    #[test]
    fn another_init_segment_begins_another_file() {
        let report = rendition(vec![segment(0, b"a"), segment(1, b"a"), segment(2, b"b")]);
        assert_eq!(report.files(), [b"amm".to_vec(), b"bm".to_vec()]);
        assert_eq!(report.file(), None);
        let mut report = rendition(vec![segment(0, b"a"), segment(1, b"a")]);
        assert_eq!(report.file(), Some(b"amm".to_vec()));
        // A recording with a hole in it is none.
        report.segments[1].media = None;
        assert_eq!(report.file(), None);
    }

    #[test]
    fn the_longest_wait_is_between_two_arrivals() {
        let start = Instant::now();
        let arrivals = [0, 200, 1_400, 1_600].map(|ms| Arrival {
            at: start + Duration::from_millis(ms),
            msn: 0,
            part: 0,
            media: Duration::ZERO,
        });
        let report = RenditionReport { arrivals: arrivals.to_vec(), ..rendition(Vec::new()) };
        assert_eq!(report.longest_wait(), Duration::from_millis(1_200));
    }
}
