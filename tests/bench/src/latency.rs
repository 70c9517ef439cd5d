//! From the last picture of a part written to all of the part read: pure arithmetic.
//!
//! A part tells the decode times of its pictures; from those come their numbers in the order of
//! publishing, and the publisher noted when it wrote which.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use millrace_harness::recorder::Init;
use tokio::time::Instant;

use crate::material::FPS;
use crate::viewer::Seen;

/// How the first published picture is recognised among those that are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor<'a> {
    /// It is the first of segment 0: what transcodes loses none.
    FirstSegment,
    /// By the number of some picture, known by its hash: what remuxes changes none.
    Content(&'a HashMap<u64, usize>),
}

/// Of each part in order. `written` says when each picture was written.
///
/// # Errors
/// When a picture is missing, shown twice or off the publisher's frame rate.
pub(crate) fn of_parts(
    seen: &Seen,
    written: &[Instant],
    anchor: Anchor<'_>,
) -> Result<Vec<Duration>> {
    let init = Init::parse(&seen.init).context("the init segment")?;
    ensure!(init.is_video(), "the top rung has no video");
    let clock = Clock { zero: zero(&init, seen, anchor)?, timescale: i64::from(init.timescale) };
    let mut expected = None;
    let mut latencies = Vec::new();
    for (index, part) in seen.parts.iter().enumerate() {
        let frames = init.frames(&part.bytes).with_context(|| format!("part {index}"))?;
        for frame in &frames {
            let number = clock.number(frame.dts)?;
            ensure!(
                expected.is_none_or(|expected| expected == number),
                "part {index} has picture {number} instead of {expected:?}"
            );
            expected = Some(number + 1);
        }
        let last = expected.and_then(|next| next.checked_sub(1)).context("an empty part")?;
        let at = written.get(last).with_context(|| format!("picture {last} was never written"))?;
        let latency = part.at.checked_duration_since(*at);
        latencies.push(latency.with_context(|| format!("part {index} came before its picture"))?);
    }
    Ok(latencies)
}

/// The decode time of the first published picture, in ticks.
fn zero(init: &Init, seen: &Seen, anchor: Anchor<'_>) -> Result<i64> {
    match anchor {
        Anchor::FirstSegment => {
            let (msn, bytes) = &seen.first;
            ensure!(*msn == 0, "the playlist begins with segment {msn} instead of 0");
            Ok(init.frames(bytes)?.first().context("segment 0 is empty")?.dts)
        }
        Anchor::Content(numbers) => {
            for part in &seen.parts {
                for frame in init.frames(&part.bytes)? {
                    if let Some(number) = numbers.get(&frame.sha) {
                        let ticks = i64::try_from(*number)? * i64::from(init.timescale);
                        return Ok(frame.dts - ticks / i64::from(FPS));
                    }
                }
            }
            bail!("no picture is one of those that were published")
        }
    }
}

/// Decode times to picture numbers.
struct Clock {
    zero: i64,
    /// Ticks per second.
    timescale: i64,
}

impl Clock {
    /// RTMP's times are whole ms, so a picture may stand beside its exact place by that.
    fn number(&self, dts: i64) -> Result<usize> {
        let exact = (dts - self.zero) * i64::from(FPS);
        let number = (exact + self.timescale / 2).div_euclid(self.timescale);
        let off = (exact - number * self.timescale).abs() * 1_000 / i64::from(FPS);
        ensure!(off <= 3 * self.timescale, "decode time {dts} is off {FPS} pictures a second");
        usize::try_from(number).context("a picture from before the first")
    }
}

/// What is said about many latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
}

impl Spread {
    /// By nearest rank; `None` of nothing.
    pub(crate) fn of(mut latencies: Vec<Duration>) -> Option<Self> {
        latencies.sort_unstable();
        let count = latencies.len();
        let rank = |percent: usize| {
            latencies.get((count * percent).div_ceil(100).saturating_sub(1)).copied()
        };
        Some(Self { count, p50: rank(50)?, p99: rank(99)?, max: rank(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_whole_ms_yield_the_picture_s_number() {
        let clock = Clock { zero: 7_000, timescale: 90_000 };
        for (number, ms) in [(0, 0), (1, 33), (2, 67), (59, 1_967), (1_800, 60_000)] {
            assert_eq!(clock.number(7_000 + ms * 90).unwrap(), number);
        }
        assert!(clock.number(7_000 + 16 * 90).is_err());
        assert!(clock.number(7_000 - 33 * 90).is_err());
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let latencies = (1..=200).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(latencies).unwrap();
        assert_eq!(spread.p50, Duration::from_millis(100));
        assert_eq!(spread.p99, Duration::from_millis(198));
        assert_eq!(spread.max, Duration::from_millis(200));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
