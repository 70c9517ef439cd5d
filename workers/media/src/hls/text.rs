//! Numbers and dates as playlists and manifests spell them.

use std::fmt;

use crate::time::{TIMESCALE, Ticks};

const MICROS: i128 = 1_000_000;

/// A decimal number of seconds, exact to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seconds(i128);

impl Seconds {
    /// From `start` to `start + duration`, in ticks of `timescale` per second.
    ///
    /// Both ends are rounded, not the distance: so parts add up to their
    /// segment and segments to the timeline, whatever the timescale.
    pub(crate) fn between(start: i64, duration: i64, timescale: u32) -> Self {
        let micros = |time: i128| (time * MICROS).div_euclid(i128::from(timescale.max(1)));
        let start = i128::from(start);
        Self(micros(start + i128::from(duration)) - micros(start))
    }

    /// The least not below `ticks`: an upper bound stays one.
    pub(crate) fn at_least(ticks: Ticks) -> Self {
        Self(-(i128::from(-ticks.0) * MICROS).div_euclid(i128::from(TIMESCALE)))
    }

    /// From a count of microseconds.
    pub(crate) fn micros(micros: i64) -> Self {
        Self(micros.into())
    }

    pub(crate) fn whole(seconds: i64) -> Self {
        Self(i128::from(seconds) * MICROS)
    }

    pub(crate) fn times(self, factor: i128) -> Self {
        Self(self.0 * factor)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0.rem_euclid(MICROS));
        let digits = match fraction.trim_end_matches('0') {
            "" => "0",
            digits => digits,
        };
        write!(f, "{}.{digits}", self.0.div_euclid(MICROS))
    }
}

/// A wall clock time in ms since 1970 as ISO 8601 in UTC.
pub(crate) struct Date(pub(crate) i64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(86_400_000));
        let ms = self.0.rem_euclid(86_400_000);
        let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
        let (seconds, ms) = (ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970.
///
/// Counted in years that begin on 1 March, so that the leap day is the last;
/// 400 years have 146,097 days, whatever the 400.
fn civil(days: i64) -> (i64, i64, i64) {
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 153 days in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_are_spelled_without_idle_digits() {
        let text = |duration, timescale| Seconds::between(0, duration, timescale).to_string();
        assert_eq!(text(180_000, 90_000), "2.0");
        assert_eq!(text(10_240, 48_000), "0.213333");
        assert_eq!(Seconds::at_least(Ticks(19_350)).to_string(), "0.215");
        assert_eq!(Seconds::at_least(Ticks(1)).to_string(), "0.000012");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let text = |ms| Date(ms).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(text(1_793_620_800_042), "2026-11-02T12:00:00.042Z");
        assert_eq!(text(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_whole(
            start in -1_000_000_i64..1_000_000_000_000,
            pieces in prop::collection::vec(1_i64..20_000, 1..50),
            timescale in prop::sample::select(vec![90_000_u32, 48_000, 44_100]),
        ) {
            let mut sum = Seconds(0);
            let mut at = start;
            for piece in &pieces {
                sum.0 += Seconds::between(at, *piece, timescale).0;
                at += piece;
            }
            prop_assert_eq!(sum, Seconds::between(start, pieces.iter().sum(), timescale));
        }
    }
}
