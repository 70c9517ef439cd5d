//! Time on the timeline.

use serde::{Deserialize, Serialize};

/// Ticks per second of the timeline.
pub const TIMESCALE: i64 = 90_000;

/// Ticks per millisecond: RTMP counts milliseconds, so the conversion is exact.
pub const TICKS_PER_MS: i64 = TIMESCALE / 1_000;

/// A position on, or a distance along, the timeline in 90 kHz ticks.
///
/// Zero is the presentation time of the broadcast's first keyframe. Decode
/// times of a source with B-frames start below zero.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Ticks(pub i64);

impl Ticks {
    /// The start of the timeline.
    pub const ZERO: Self = Self(0);

    /// From milliseconds; saturates at the ends of the range (±3 million years).
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms.saturating_mul(TICKS_PER_MS))
    }

    /// From a count of `1/timescale` seconds, rounded down to a tick;
    /// `timescale` 0 counts as 1.
    pub fn from_units(units: i64, timescale: u32) -> Self {
        let ticks = i128::from(units) * i128::from(TIMESCALE);
        let ticks = ticks.div_euclid(i128::from(timescale.max(1)));
        Self(i64::try_from(ticks).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Whole milliseconds, rounded towards negative infinity.
    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(TICKS_PER_MS)
    }

    /// Seconds, for display and for ffmpeg's options.
    #[expect(clippy::cast_precision_loss, reason = "display only")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / TIMESCALE as f64
    }
}

impl std::ops::Add for Ticks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Ticks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
