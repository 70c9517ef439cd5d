//! When what was listed, against when it was to be: what went late, and what the picture shows. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_harness::recorder::{RenditionReport, Report};
use tokio::time::Instant;

/// What is listed so much later than the best of its kind is late.
const LATE: f64 = 0.5;

/// Something new was listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Arrival {
    /// Seconds since the first of any rendition.
    pub(crate) at: f64,
    /// Seconds of media listed in all until then.
    pub(crate) media: f64,
    /// Seconds by which the oldest of what is new is behind the best of the same discontinuity.
    pub(crate) behind: f64,
    /// Seconds of media of what is new that are over [`LATE`] behind.
    pub(crate) late: f64,
}

/// One rendition.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) arrivals: Vec<Arrival>,
}

/// Everything about one broadcast in time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Timeline {
    pub(crate) lanes: Vec<Lane>,
    /// When something was done, and when that was over.
    pub(crate) struck: Vec<(String, f64, f64)>,
    /// Media seconds where discontinuities are marked.
    pub(crate) discontinuities: Vec<f64>,
    /// Media seconds from and to where pictures are lost.
    pub(crate) lost: Vec<(f64, f64)>,
}

/// Something that was done to the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blow {
    pub(crate) name: String,
    pub(crate) begun: Instant,
    pub(crate) over: Instant,
}

impl Timeline {
    /// What was recorded, up to when the publisher ended.
    pub(crate) fn of(report: &Report, blows: &[Blow], over: Instant) -> Self {
        let all = report.renditions.iter().flat_map(|rendition| &rendition.arrivals);
        let Some(zero) = all.map(|arrival| arrival.at).min() else { return Self::default() };
        let since = |at: Instant| at.saturating_duration_since(zero).as_secs_f64();
        let lane = |rendition: &RenditionReport| lane(rendition, zero, over);
        let struck = blows.iter();
        Self {
            lanes: report.renditions.iter().map(lane).collect(),
            struck: struck.map(|b| (b.name.clone(), since(b.begun), since(b.over))).collect(),
            discontinuities: report.renditions.first().map(discontinuities).unwrap_or_default(),
            lost: Vec::new(),
        }
    }

    /// How much media was late, and the most by which some was; of the rendition with more.
    pub(crate) fn late(&self) -> (Duration, Duration) {
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let of = |lane: &Lane| {
            let late = lane.arrivals.iter().map(|arrival| arrival.late).sum();
            let most = lane.arrivals.iter().map(|arrival| arrival.behind).fold(0.0, f64::max);
            (seconds(late), seconds(most))
        };
        self.lanes.iter().map(of).max().unwrap_or_default()
    }
}

/// Something new as it came: of which discontinuity, when, and which seconds of media.
struct Raw {
    discontinuity: u64,
    at: f64,
    from: f64,
    to: f64,
}

/// What came after the end of the publish came with the end.
fn lane(rendition: &RenditionReport, zero: Instant, over: Instant) -> Lane {
    // Which discontinuity a segment is of; one that never came whole is of the last.
    let of = |msn: u64| {
        let earlier = rendition.segments.iter().take_while(|segment| segment.msn <= msn);
        earlier.last().map_or(0, |segment| segment.discontinuity)
    };
    let mut raw: Vec<Raw> = Vec::new();
    for arrival in rendition.arrivals.iter().filter(|arrival| arrival.at <= over) {
        // What is not listed yet may be of the next one.
        let last = if arrival.part == 0 { arrival.msn.saturating_sub(1) } else { arrival.msn };
        let to = arrival.media.as_secs_f64();
        raw.push(Raw {
            discontinuity: of(last),
            at: arrival.at.saturating_duration_since(zero).as_secs_f64(),
            // What was there when the recording began was there before.
            from: raw.last().map_or(to, |before| before.to),
            to,
        });
    }
    let mut least: BTreeMap<u64, f64> = BTreeMap::new();
    for Raw { discontinuity, at, to, .. } in &raw {
        let least = least.entry(*discontinuity).or_insert(f64::INFINITY);
        *least = least.min(at - to);
    }
    let arrivals = raw.iter().map(|Raw { discontinuity, at, from, to }| {
        let least = least.get(discontinuity).copied().unwrap_or_default();
        // Media up to here was to be listed so long ago.
        let late_to = (at - least - LATE).min(*to);
        Arrival { at: *at, media: *to, behind: at - from - least, late: (late_to - from).max(0.0) }
    });
    Lane { name: rendition.name.clone(), arrivals: arrivals.collect() }
}

/// Media seconds before each segment that has another number than the one before.
fn discontinuities(rendition: &RenditionReport) -> Vec<f64> {
    let (mut marks, mut media, mut last) = (Vec::new(), 0.0, None);
    for segment in &rendition.segments {
        if last.is_some_and(|last| last != segment.discontinuity) {
            marks.push(media);
        }
        last = Some(segment.discontinuity);
        let ticks: i64 = segment.frames.iter().map(|frame| frame.duration).sum();
        let micros = ticks * 1_000_000 / i64::from(rendition.timescale.max(1));
        media += Duration::from_micros(u64::try_from(micros).unwrap_or_default()).as_secs_f64();
    }
    marks
}

#[cfg(test)]
mod tests {
    use millrace_harness::recorder::{self, Frame, SeenSegment};

    use super::*;

    fn segment(msn: u64, discontinuity: u64) -> SeenSegment {
        let frame = Frame { dts: 0, pts: 0, duration: 2_000, size: 0, sha: 0, sync: true };
        let (uri, frames) = (String::new(), vec![frame]);
        SeenSegment { msn, uri, discontinuity, frames, media: None }
    }

    /// Wall clock and media in ms, and what is not listed yet.
    fn report(zero: Instant, arrivals: &[(u64, u64, u64, usize)]) -> Report {
        let arrivals = arrivals.iter().map(|(at, media, msn, part)| recorder::Arrival {
            at: zero + Duration::from_millis(*at),
            media: Duration::from_millis(*media),
            msn: *msn,
            part: *part,
        });
        let rendition = RenditionReport {
            name: "480p".to_owned(),
            timescale: 1_000,
            arrivals: arrivals.collect(),
            segments: vec![segment(0, 0), segment(1, 0), segment(2, 1)],
            ..RenditionReport::default()
        };
        Report { renditions: vec![rendition], broken: Vec::new() }
    }

    #[test]
    fn what_is_late_is_so_against_the_best_of_its_discontinuity() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let arrivals = [
            (0, 2_000, 1, 0),
            (200, 2_200, 1, 1),
            (1_400, 2_400, 1, 2),
            (2_000, 4_000, 2, 0),
            // Behind the discontinuity all is three seconds later, and in time.
            (5_200, 4_200, 2, 1),
            (5_500, 4_400, 2, 2),
            (9_000, 6_000, 3, 0),
        ];
        let blow = Blow { name: "moon".to_owned(), begun: at(300), over: at(1_000) };
        let timeline = Timeline::of(&report(zero, &arrivals), &[blow], at(8_000));
        let behind: Vec<_> =
            timeline.lanes[0].arrivals.iter().map(|a| (a.behind * 1_000.0).round()).collect();
        // The third is late by itself, the fourth lists what should have come one after the other.
        assert_eq!(behind, [0.0, 200.0, 1_200.0, 1_600.0, 200.0, 300.0]);
        let (late, most) = timeline.late();
        assert_eq!((late.as_millis(), most.as_millis()), (1_300, 1_600));
        assert_eq!(timeline.discontinuities, [4.0]);
        assert_eq!(timeline.struck, [("moon".to_owned(), 0.3, 1.0)]);
    }

    #[test]
    fn nothing_recorded_is_an_empty_timeline() {
        let nothing = Report { renditions: Vec::new(), broken: Vec::new() };
        assert_eq!(Timeline::of(&nothing, &[], Instant::now()), Timeline::default());
        assert_eq!(Timeline::default().late(), (Duration::ZERO, Duration::ZERO));
    }
}
