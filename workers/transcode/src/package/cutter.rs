//! Where parts and segments end.
//!
//! A segment ends where the timeline crosses a multiple of the segment
//! duration. Inside it a part ends with the last frame that keeps it within
//! PART-TARGET: the next frame is expected to last as long as the shortest of
//! the part, so a part can be sent off without waiting for its successor. One
//! under 85 % of PART-TARGET waits for it all the same, and ends only if the
//! successor has no place in it (RFC 8216bis §4.4.4.9): at 7 to 9, 12 or 12.5
//! frames a second each part goes out a frame later than it could.

use millrace_media::id::Msn;
use millrace_media::time::{TIMESCALE, Ticks};

use super::Sample;

/// The durations a rendition is cut by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Ticks per second of the samples' times.
    pub timescale: u32,
    /// Nominal segment duration.
    pub segment: Ticks,
    /// PART-TARGET.
    pub part_target: Ticks,
}

impl Grid {
    /// The segment that a moment in the rendition's timescale lies in; moments
    /// before zero lie in the first.
    pub fn msn(&self, start: i64) -> Msn {
        let ticks = i128::from(start) * i128::from(TIMESCALE);
        let segment = i128::from(self.segment.0.max(1)) * i128::from(self.timescale);
        Msn(u64::try_from(ticks.div_euclid(segment)).unwrap_or(0))
    }

    /// Where a segment begins at the earliest.
    pub fn line(&self, msn: Msn) -> Ticks {
        let ticks = i128::from(msn.0) * i128::from(self.segment.0.max(1));
        Ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// The same in the rendition's timescale, rounded up.
    pub fn start(&self, msn: Msn) -> i64 {
        let ticks = i128::from(self.line(msn).0);
        let units = (ticks * i128::from(self.timescale) + i128::from(TIMESCALE) - 1)
            .div_euclid(i128::from(TIMESCALE));
        i64::try_from(units).unwrap_or(i64::MAX)
    }

    /// PART-TARGET in the rendition's timescale, rounded down.
    fn part_target(&self) -> i64 {
        let units = i128::from(self.part_target.0) * i128::from(self.timescale);
        i64::try_from(units.div_euclid(i128::from(TIMESCALE))).unwrap_or(i64::MAX)
    }
}

/// Where the next part goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The open segment.
    pub msn: Msn,
    /// The next part's number in it.
    pub part: u32,
}

/// A part's worth of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartCut {
    /// Its place.
    pub position: Position,
    /// What it holds; never empty.
    pub samples: Vec<Sample>,
}

/// One step of the packaging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// A part is complete.
    Part(PartCut),
    /// All parts of this segment are out.
    SegmentEnd(Msn),
}

/// Cuts one rendition.
#[derive(Debug)]
pub struct Cutter {
    grid: Grid,
    /// `None` before the first sample of all.
    open: Option<Position>,
    samples: Vec<Sample>,
    duration: i64,
}

impl Cutter {
    /// A cutter that goes on at `open`, an incomplete segment that has all
    /// parts before that one.
    pub fn new(grid: Grid, open: Option<Position>) -> Self {
        Self { grid, open, samples: Vec::new(), duration: 0 }
    }

    /// Takes the next sample in decode order; returns what it completes.
    pub fn push(&mut self, mut sample: Sample) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let msn = self.grid.msn(sample.start);
        // A picture that stays until long after its segment would make that
        // longer than the target duration: what follows is a hole.
        let line = self.grid.start(msn.next());
        let over = sample.start.saturating_add(sample.duration).saturating_sub(line);
        if over > self.grid.part_target() {
            sample.duration = line.saturating_sub(sample.start);
        }
        if self.open.is_some_and(|open| msn > open.msn) {
            self.end_segment(&mut cuts);
        }
        if self.open.is_none() {
            self.open = Some(Position { msn, part: 0 });
        }
        let target = self.grid.part_target();
        if self.duration.saturating_add(sample.duration) > target {
            self.end_part(&mut cuts);
        }
        let end = sample.start.saturating_add(sample.duration);
        self.duration = self.duration.saturating_add(sample.duration);
        self.samples.push(sample);
        let next = self.samples.iter().map(|s| s.duration).min().unwrap_or(0);
        if self.open.is_some_and(|open| self.grid.msn(end) > open.msn) {
            self.end_segment(&mut cuts);
        } else if self.duration.saturating_add(next) > target
            && self.duration.saturating_mul(100) >= target.saturating_mul(85)
        {
            self.end_part(&mut cuts);
        }
        cuts
    }

    /// Ends the part and the segment that are open: the base is over.
    pub fn finish(&mut self) -> Vec<Cut> {
        let mut cuts = Vec::new();
        self.end_segment(&mut cuts);
        cuts
    }

    fn end_part(&mut self, cuts: &mut Vec<Cut>) {
        let Some(open) = self.open.as_mut().filter(|_| !self.samples.is_empty()) else { return };
        let position = *open;
        open.part = open.part.saturating_add(1);
        self.duration = 0;
        cuts.push(Cut::Part(PartCut { position, samples: std::mem::take(&mut self.samples) }));
    }

    fn end_segment(&mut self, cuts: &mut Vec<Cut>) {
        self.end_part(cuts);
        if let Some(open) = self.open.take_if(|open| open.part > 0) {
            cuts.push(Cut::SegmentEnd(open.msn));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn grid(timescale: u32) -> Grid {
        Grid { timescale, segment: Ticks::from_ms(2_000), part_target: Ticks::from_ms(215) }
    }

    /// Frames at RTMP's whole milliseconds.
    fn frames((num, den): (i64, i64), count: u32) -> Vec<Sample> {
        let at = |n: u32| (i64::from(n) * 1_000 * den + num / 2) / num * 90;
        (0..count)
            .map(|n| Sample {
                start: at(n),
                composition: 0,
                duration: at(n + 1) - at(n),
                sync: n == 0,
                data: Bytes::new(),
            })
            .collect()
    }

    fn sounds(rate: i64, count: i64) -> Vec<Sample> {
        let sample = |n| Sample {
            start: n * 1_024,
            composition: 0,
            duration: 1_024,
            sync: true,
            data: Bytes::from(rate.to_string()),
        };
        (0..count).map(sample).collect()
    }

    /// Every part's place, duration and whether it is its segment's last.
    fn parts(cuts: &[Cut]) -> Vec<(Position, i64, bool)> {
        cuts.iter()
            .enumerate()
            .filter_map(|(n, cut)| match cut {
                Cut::Part(part) => Some((
                    part.position,
                    part.samples.iter().map(|s| s.duration).sum(),
                    matches!(cuts.get(n + 1), Some(Cut::SegmentEnd(_)) | None),
                )),
                Cut::SegmentEnd(_) => None,
            })
            .collect()
    }

    #[test]
    fn parts_keep_within_the_target_and_reach_85_percent_of_it_at_usual_rates() {
        let whole = [15, 24, 25, 30, 48, 50, 60].map(|fps| (fps, 1));
        let ntsc = [24_000, 30_000, 60_000].map(|num| (num, 1_001));
        let video = [&whole[..], &ntsc[..]].concat();
        let mut cases: Vec<_> = video.iter().map(|fps| (90_000, frames(*fps, 900))).collect();
        cases.push((48_000, sounds(48_000, 900)));
        cases.push((44_100, sounds(44_100, 900)));
        for (timescale, samples) in cases {
            let mut cutter = Cutter::new(grid(timescale), None);
            let cuts: Vec<_> = samples.into_iter().flat_map(|s| cutter.push(s)).collect();
            let target = 215 * i64::from(timescale);
            for (position, duration, last) in parts(&cuts) {
                assert!(duration * 1_000 <= target, "{timescale} {position:?} {duration}");
                assert!(
                    last || duration * 100_000 >= target * 85,
                    "{timescale} {position:?} {duration}"
                );
            }
        }
    }

    #[test]
    fn a_picture_that_stays_longer_does_not_make_a_part_short() {
        // 25 pictures a second, one of them missing.
        let mut samples = frames((25, 1), 20);
        let missing = samples.remove(3);
        samples[2].duration += missing.duration;
        let mut cutter = Cutter::new(grid(90_000), None);
        let cuts: Vec<_> = samples.into_iter().flat_map(|s| cutter.push(s)).collect();
        let durations: Vec<_> = parts(&cuts).into_iter().map(|(_, d, _)| d / 90).collect();
        assert_eq!(durations, [200, 200, 200, 200]);
    }

    #[test]
    fn a_part_of_one_long_picture_has_place_for_a_short_one() {
        // As at a publisher's end, whose last pictures in between never came.
        let mut samples = frames((25, 1), 10);
        samples.drain(6..8);
        samples[5].duration *= 3;
        let mut cutter = Cutter::new(grid(90_000), None);
        let mut cuts: Vec<_> = samples.into_iter().flat_map(|s| cutter.push(s)).collect();
        cuts.extend(cutter.finish());
        let durations: Vec<_> = parts(&cuts).into_iter().map(|(_, d, _)| d / 90).collect();
        assert_eq!(durations, [200, 200]);
    }

    #[test]
    fn a_part_whose_next_picture_has_no_place_ends_though_it_is_short() {
        // 8 pictures a second.
        let mut cutter = Cutter::new(grid(90_000), None);
        let cuts: Vec<_> = frames((8, 1), 8).into_iter().flat_map(|s| cutter.push(s)).collect();
        let durations: Vec<_> = parts(&cuts).into_iter().map(|(_, d, _)| d / 90).collect();
        assert_eq!(durations, [125; 7]);
    }

    #[test]
    fn a_picture_that_stays_into_later_segments_ends_with_its_own() {
        let mut samples = frames((25, 1), 150);
        // From 1.52 s on nothing comes until 4.4 s.
        samples.drain(39..110);
        samples[38].duration = (4_400 - 1_520) * 90;
        let mut cutter = Cutter::new(grid(90_000), None);
        let cuts: Vec<_> = samples.into_iter().flat_map(|s| cutter.push(s)).collect();
        let ends: Vec<_> =
            cuts.iter().filter(|c| matches!(c, Cut::SegmentEnd(_))).cloned().collect();
        assert_eq!(ends, [Cut::SegmentEnd(Msn(0)), Cut::SegmentEnd(Msn(2))]);
        let of_first = parts(&cuts).into_iter().filter(|(at, _, _)| at.msn == Msn(0));
        assert_eq!(of_first.map(|(_, duration, _)| duration).sum::<i64>(), 180_000);
    }

    #[test]
    fn segments_are_contiguous_and_every_sample_is_in_exactly_one_part() {
        let samples = frames((30_000, 1_001), 600);
        let mut cutter = Cutter::new(grid(90_000), None);
        let mut cuts: Vec<_> = samples.iter().cloned().flat_map(|s| cutter.push(s)).collect();
        cuts.extend(cutter.finish());
        let mut out = Vec::new();
        let mut next = 0;
        for cut in &cuts {
            match cut {
                Cut::Part(part) => {
                    assert_eq!(part.position.msn, Msn(next));
                    out.extend(part.samples.iter().cloned());
                }
                Cut::SegmentEnd(msn) => {
                    assert_eq!(*msn, Msn(next));
                    next += 1;
                }
            }
        }
        assert_eq!(out, samples);
        assert_eq!(next, 10);
    }

    #[test]
    fn a_segment_ends_with_its_last_frame_not_with_the_next_ones_first() {
        let mut cutter = Cutter::new(grid(90_000), None);
        let cuts: Vec<_> = frames((25, 1), 50).into_iter().flat_map(|s| cutter.push(s)).collect();
        assert_eq!(cuts.last(), Some(&Cut::SegmentEnd(Msn(0))));
    }

    #[test]
    fn a_restarted_cutter_ends_the_segment_it_found_open() {
        let open = Position { msn: Msn(0), part: 4 };
        let mut cutter = Cutter::new(grid(90_000), Some(open));
        let first = frames((25, 1), 60).split_off(50).remove(0);
        assert_eq!(cutter.push(first), [Cut::SegmentEnd(Msn(0))]);
    }
}
