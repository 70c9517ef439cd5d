//! The audio grid: AAC frames of 1,024 samples on absolute places.
//!
//! Frame `k` begins `k × 1,024` samples after the timeline's zero, in every
//! base. So frames of two bases, or of a replay, never overlap and never leave
//! less than a whole frame open; a source is off by at most half a frame
//! (11.6 ms at 44.1 kHz) where it starts.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::aac::AacConfig;
use crate::flv::{AudioPacket, AudioTag};
use crate::time::{TIMESCALE, Ticks};

/// Samples in one AAC frame.
const FRAME_SAMPLES: u32 = AacConfig::FRAME_SAMPLES;
/// How far a publisher's clock may be from the grid before a frame is put in
/// or left out, in ticks (40 ms).
const DRIFT: i64 = 40 * 90;
/// Most places that become silent at once: 43 s at 96 kHz, longer at lower
/// rates. No sound that runs is that far behind its pictures. Earlier places
/// of sound that joins them late, and of a state that somebody else wrote,
/// stay empty.
const MAX_SILENCE: i64 = 4_096;

/// The grid's state: the rate and the next free place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grid {
    rate: i64,
    next: i64,
    /// No frame yet in this base: the first is placed to the nearest.
    fresh: bool,
}

/// Where a frame goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Its place is taken: drop it.
    Late,
    /// At `index`, after silence on the places before it.
    At { silence: Range<i64>, index: i64 },
}

impl Grid {
    /// The grid of a base that begins at `base`, for this configuration (an
    /// FLV tag body), going on from the grid before. `None` if the
    /// configuration is no AAC that can be placed.
    pub(super) fn of(config: &bytes::Bytes, base: Ticks, before: Option<&Self>) -> Option<Self> {
        let AudioPacket::Config(config) = AudioTag::parse(config).ok()?.packet else {
            return None;
        };
        let rate = i64::from(AacConfig::parse(&config).ok()?.sample_rate());
        if rate == 0 {
            return None;
        }
        let mut grid = Self { rate, next: 0, fresh: true };
        let behind = before.map_or(Ticks::ZERO, |b| b.time(b.next));
        grid.next = grid.ceil(base.max(behind));
        Some(grid)
    }

    /// Whether it can be one that [`Grid::of`] made.
    pub(super) fn is_usable(&self) -> bool {
        u32::try_from(self.rate).is_ok_and(|rate| AacConfig::SAMPLE_RATES.contains(&rate))
    }

    /// A little more than a frame lasts: places are rounded to ticks.
    pub(super) fn frame(&self) -> Ticks {
        self.time(1) + Ticks(2)
    }

    /// Whether a configuration (an FLV tag body) is for this grid.
    pub(super) fn takes(&self, config: &bytes::Bytes) -> bool {
        Self::of(config, Ticks::ZERO, None).is_some_and(|other| other.rate == self.rate)
    }

    /// When the next free place begins.
    pub(super) fn resumes_at(&self) -> Ticks {
        self.time(self.next)
    }

    /// When frame `index` begins, rounded down to a tick.
    pub(super) fn time(&self, index: i64) -> Ticks {
        let samples = i128::from(index) * i128::from(FRAME_SAMPLES) * i128::from(TIMESCALE);
        let ticks = samples.div_euclid(i128::from(self.rate));
        Ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// When the first place begins that is not before `at`.
    pub(super) fn first_from(&self, at: Ticks) -> Ticks {
        self.time(self.ceil(at))
    }

    /// The first place that begins at or after `at`.
    fn ceil(&self, at: Ticks) -> i64 {
        let frame = i128::from(FRAME_SAMPLES) * i128::from(TIMESCALE);
        let places = (i128::from(at.0) * i128::from(self.rate) + frame - 1).div_euclid(frame);
        i64::try_from(places).unwrap_or(i64::MAX)
    }

    /// The place nearest to `at`.
    fn nearest(&self, at: Ticks) -> i64 {
        let frame = i128::from(FRAME_SAMPLES) * i128::from(TIMESCALE);
        let places = (i128::from(at.0) * i128::from(self.rate) + frame / 2).div_euclid(frame);
        i64::try_from(places).unwrap_or(i64::MAX)
    }

    /// Takes the place for a frame whose source time is `at`.
    pub(super) fn place(&mut self, at: Ticks) -> Placement {
        let ahead = at.0.saturating_sub(self.time(self.next).0);
        let index = if self.fresh || ahead > DRIFT { self.nearest(at) } else { self.next };
        if index < self.next || ahead < -DRIFT {
            return Placement::Late;
        }
        let silence = self.silence(index);
        self.next = index.saturating_add(1);
        self.fresh = false;
        Placement::At { silence, index }
    }

    /// Takes all places that end before `until`; those returned are to be silent.
    pub(super) fn fill(&mut self, until: Ticks) -> Range<i64> {
        let end = self.next.max(self.ceil(until).saturating_sub(1));
        let silence = self.silence(end);
        self.next = end;
        silence
    }

    /// The free places before `end`, the last [`MAX_SILENCE`] of them.
    fn silence(&self, end: i64) -> Range<i64> {
        self.next.max(end.saturating_sub(MAX_SILENCE))..end
    }
}
