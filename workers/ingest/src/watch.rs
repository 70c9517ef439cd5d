//! What a publisher may do over time: the bitrate limit, that there is video,
//! and that its timestamps go with the clock. Pure: time is an argument.

use std::time::Duration;

use millrace_media::record::Track;

use crate::refusal::Refusal;

/// How long a publisher may be over its bitrate, and how long without video.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How far media may run ahead of the clock, in ms: a file of some minutes may
/// be sent at once. Each second of media costs everybody a second of segments.
const MAX_AHEAD_MS: i64 = 300_000;
/// A step up to this one, in ms, is media that goes on; a larger one is a jump.
const MAX_STEP_MS: i64 = 5_000;

/// Watches one publisher.
#[derive(Debug)]
pub struct Watch {
    started: Duration,
    video: bool,
    /// Bytes a [`PATIENCE`] may have; none when there is no limit.
    budget: Option<u64>,
    window: Duration,
    bytes: u64,
    audio: Pace,
    pictures: Pace,
}

/// How far one track is ahead of the clock.
#[derive(Debug, Default)]
struct Pace {
    /// Clock and timestamp of the last message.
    last: Option<(Duration, i64)>,
    ahead_ms: i64,
}

impl Pace {
    /// A clock that is wrong by up to 5 % never adds up.
    fn step(&mut self, now: Duration, time_ms: i64) -> Result<(), Refusal> {
        if let Some((then, before)) = self.last {
            let passed = i64::try_from(now.saturating_sub(then).as_millis()).unwrap_or(i64::MAX);
            let step = time_ms.saturating_sub(before);
            let media = if (0..=MAX_STEP_MS).contains(&step) { step } else { 0 };
            let clock = passed.saturating_add(passed / 20);
            self.ahead_ms = self.ahead_ms.saturating_add(media).saturating_sub(clock).max(0);
        }
        self.last = Some((now, time_ms));
        if self.ahead_ms > MAX_AHEAD_MS { Err(Refusal::Ahead) } else { Ok(()) }
    }
}

impl Watch {
    /// From the accepted publish on. `max_kbps` 0 is no limit.
    pub fn new(now: Duration, max_kbps: u32) -> Self {
        let budget = u64::from(max_kbps) * 1_000 / 8 * PATIENCE.as_secs();
        let budget = (max_kbps > 0).then_some(budget);
        Self {
            started: now,
            video: false,
            budget,
            window: now,
            bytes: 0,
            audio: Pace::default(),
            pictures: Pace::default(),
        }
    }

    /// Counts a message; says when the publisher must go.
    pub fn message(
        &mut self,
        now: Duration,
        track: Track,
        time_ms: i64,
        bytes: usize,
    ) -> Result<(), Refusal> {
        match track {
            Track::Audio => self.audio.step(now, time_ms)?,
            Track::Video => self.pictures.step(now, time_ms)?,
        }
        self.video |= track == Track::Video;
        if !self.video && now.saturating_sub(self.started) >= PATIENCE {
            return Err(Refusal::AudioOnly);
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if now.saturating_sub(self.window) >= PATIENCE {
            let over = self.budget.is_some_and(|budget| self.bytes > budget);
            (self.window, self.bytes) = (now, 0);
            if over {
                return Err(Refusal::Bitrate);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn audio_alone_is_refused_after_ten_seconds() {
        let mut watch = Watch::new(at(0), 0);
        assert_eq!(watch.message(at(9_999), Track::Audio, 0, 1), Ok(()));
        assert_eq!(watch.message(at(10_000), Track::Audio, 0, 1), Err(Refusal::AudioOnly));
        let mut watch = Watch::new(at(0), 0);
        assert_eq!(watch.message(at(9_000), Track::Video, 0, 1), Ok(()));
        assert_eq!(watch.message(at(60_000), Track::Audio, 0, 1), Ok(()));
    }

    #[test]
    fn ten_seconds_over_the_bitrate_are_refused_and_a_peak_is_not() {
        // 800 kb/s: 1,000,000 bytes in ten seconds.
        let run = |bytes_at: &dyn Fn(u64) -> usize| {
            let mut watch = Watch::new(at(0), 800);
            (0..=11).try_for_each(|s| watch.message(at(s * 1_000), Track::Video, 0, bytes_at(s)))
        };
        assert_eq!(run(&|_| 90_000), Ok(()));
        assert_eq!(run(&|s| if s == 3 { 500_000 } else { 10_000 }), Ok(()));
        assert_eq!(run(&|_| 110_000), Err(Refusal::Bitrate));
    }

    #[test]
    fn media_far_ahead_of_the_clock_is_refused_and_drift_and_jumps_are_not() {
        let run = |count: i64, clock_ms: u64, time: &dyn Fn(i64) -> i64| {
            let mut watch = Watch::new(at(0), 0);
            (0..count).try_for_each(|n| {
                let now = at(n.unsigned_abs() * clock_ms);
                watch.message(now, Track::Audio, time(n), 1).or_else(|refusal| match refusal {
                    Refusal::AudioOnly => Ok(()),
                    other => Err(other),
                })
            })
        };
        assert_eq!(run(400, 1, &|n| n * 1_000), Err(Refusal::Ahead));
        // Two hours with a clock that is 2 % fast.
        assert_eq!(run(7_200, 1_000, &|n| n * 1_020), Ok(()));
        // A jump of an hour every second, back and forth.
        assert_eq!(run(600, 1_000, &|n| n % 2 * 3_600_000), Ok(()));
    }
}
