//! What a publisher may do over time: the bitrate limit, and that there is
//! video. Pure: time is an argument.

use std::time::Duration;

use millrace_media::record::Track;

use crate::refusal::Refusal;

/// How long a publisher may be over its bitrate, and how long without video.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Watches one publisher.
#[derive(Debug)]
pub struct Watch {
    started: Duration,
    video: bool,
    /// Bytes a [`PATIENCE`] may have; none when there is no limit.
    budget: Option<u64>,
    window: Duration,
    bytes: u64,
}

impl Watch {
    /// From the accepted publish on. `max_kbps` 0 is no limit.
    pub fn new(now: Duration, max_kbps: u32) -> Self {
        let budget = u64::from(max_kbps) * 1_000 / 8 * PATIENCE.as_secs();
        let budget = (max_kbps > 0).then_some(budget);
        Self { started: now, video: false, budget, window: now, bytes: 0 }
    }

    /// Counts a message; says when the publisher must go.
    pub fn message(&mut self, now: Duration, track: Track, bytes: usize) -> Result<(), Refusal> {
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
        assert_eq!(watch.message(at(9_999), Track::Audio, 1), Ok(()));
        assert_eq!(watch.message(at(10_000), Track::Audio, 1), Err(Refusal::AudioOnly));
        let mut watch = Watch::new(at(0), 0);
        assert_eq!(watch.message(at(9_000), Track::Video, 1), Ok(()));
        assert_eq!(watch.message(at(60_000), Track::Audio, 1), Ok(()));
    }

    #[test]
    fn ten_seconds_over_the_bitrate_are_refused_and_a_peak_is_not() {
        // 800 kb/s: 1,000,000 bytes in ten seconds.
        let run = |bytes_at: &dyn Fn(u64) -> usize| {
            let mut watch = Watch::new(at(0), 800);
            (0..=11).try_for_each(|s| watch.message(at(s * 1_000), Track::Video, bytes_at(s)))
        };
        assert_eq!(run(&|_| 90_000), Ok(()));
        assert_eq!(run(&|s| if s == 3 { 500_000 } else { 10_000 }), Ok(()));
        assert_eq!(run(&|_| 110_000), Err(Refusal::Bitrate));
    }
}
