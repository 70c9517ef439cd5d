//! Memory of processes over a long time, and whether it stays. Pure.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// More than so many thousandths, and ...
const MORE_BY: u64 = 100;
/// ... more than so many bytes are growth. A process of 20 MiB moves by tenths of itself.
const MORE_BYTES: u64 = 8 << 20;
/// After so long all that is to fill is full: the DVR window of 120 s, and the 256 MiB of media that
/// delivery keeps, of which parts, segments and sound of one rung take 0.28 each second.
pub(crate) const FULL: Duration = Duration::from_mins(17);

/// Of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    pub(crate) process: String,
    /// When it was weighed, since the first time, and the bytes that were resident.
    pub(crate) weights: Vec<(Duration, u64)>,
}

/// What is told of it, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(crate) process: String,
    pub(crate) at_10_percent: u64,
    pub(crate) at_50_percent: u64,
    pub(crate) at_100_percent: u64,
    pub(crate) highest: u64,
    pub(crate) highest_of_second_third: u64,
    pub(crate) highest_of_last_third: u64,
}

impl Memory {
    /// None of a process that was never weighed.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let whole = self.weights.last()?.0;
        let at = |percent: u32| {
            let from = whole * percent / 100;
            self.weights.iter().find(|(at, _)| *at >= from).map(|(_, bytes)| *bytes)
        };
        let highest = |from: u32, to: u32| {
            let times = whole * from / 3..=whole * to / 3;
            let some = self.weights.iter().filter(|(at, _)| times.contains(at));
            some.map(|(_, bytes)| *bytes).max().unwrap_or_default()
        };
        Some(Figures {
            process: self.process.clone(),
            at_10_percent: at(10)?,
            at_50_percent: at(50)?,
            at_100_percent: at(100)?,
            highest: highest(0, 3),
            highest_of_second_third: highest(1, 2),
            highest_of_last_third: highest(2, 3),
        })
    }

    /// Whether it was watched long enough to be judged: all was full before the last third.
    pub(crate) fn is_long(&self) -> bool {
        self.weights.last().is_some_and(|(whole, _)| *whole * 2 / 3 >= FULL)
    }
}

impl Figures {
    /// How it grew, in words; none when it did not.
    pub(crate) fn growth(&self) -> Option<String> {
        let (before, after) = (self.highest_of_second_third, self.highest_of_last_third);
        let more = after.saturating_sub(before);
        let grows = more > MORE_BYTES && more > before / 1_000 * MORE_BY;
        let (process, before, after) = (&self.process, mib(before), mib(after));
        grows.then(|| format!("{process} grows: at most {before} MiB, then {after} MiB"))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, at_10_percent, at_50_percent, at_100_percent, highest, .. } = self;
        write!(f, "  {process:9}")?;
        for bytes in [at_10_percent, at_50_percent, at_100_percent, highest] {
            write!(f, "  {:>7}", mib(*bytes))?;
        }
        Ok(())
    }
}

/// With one decimal.
fn mib(bytes: u64) -> String {
    let tenths = (bytes * 10 + (1 << 19)) >> 20;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Weighed each second.
    fn memory(seconds: u64, bytes: impl Fn(u64) -> u64) -> Memory {
        let weights = (0..=seconds).map(|s| (Duration::from_secs(s), bytes(s))).collect();
        Memory { process: "moon".to_owned(), weights }
    }

    #[test]
    fn what_fills_before_the_last_third_and_stays_is_flat() {
        let fills = memory(1_600, |s| 40 * MIB + s.min(1_040) * MIB / 10);
        let figures = fills.figures().unwrap();
        assert_eq!(figures.growth(), None);
        assert_eq!(figures.at_10_percent, 56 * MIB);
        assert_eq!(figures.highest, figures.at_100_percent);
        assert!(fills.is_long());
        assert_eq!(figures.to_string(), "  moon          56.0    120.0    144.0    144.0");
    }

    #[test]
    fn what_never_stops_growing_is_told() {
        let leak = memory(900, |s| 40 * MIB + s * MIB / 20);
        let growth = leak.figures().unwrap().growth().unwrap();
        assert_eq!(growth, "moon grows: at most 70.0 MiB, then 85.0 MiB");
    }

    #[test]
    fn a_little_of_much_and_much_of_a_little_are_no_growth() {
        // 9 MiB of 400, and a half of 10.
        let much = memory(900, |s| 400 * MIB + if s > 700 { 9 * MIB } else { 0 });
        assert_eq!(much.figures().unwrap().growth(), None);
        let little = memory(900, |s| 10 * MIB + if s > 700 { 5 * MIB } else { 0 });
        assert_eq!(little.figures().unwrap().growth(), None);
    }

    #[test]
    fn a_short_time_says_nothing() {
        assert!(!memory(1_529, |_| MIB).is_long());
        assert_eq!(Memory::default().figures(), None);
    }
}
