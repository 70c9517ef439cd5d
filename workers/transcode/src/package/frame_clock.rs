//! How long each source picture stays, known before the encoder is done.
//!
//! The packager must know a frame's duration to write it, and the next frame
//! decides that. Waiting for the next frame to be encoded would cost a frame of
//! latency; the source's next frame is usually in the log already when this one
//! leaves the encoder.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millrace_media::time::Ticks;
use tokio::sync::Notify;

/// Times kept behind the newest: more than an encoder ever lags.
const KEPT: Ticks = Ticks::from_ms(120_000);

/// The presentation times fed to one encoder.
#[derive(Debug, Default)]
pub struct FrameClock {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    times: BTreeSet<Ticks>,
    decoded: Option<Ticks>,
    /// Set when no more will come: the last picture's duration.
    closed: Option<Ticks>,
}

impl FrameClock {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A picture is about to be fed; pictures come in decode order.
    pub fn feed(&self, dts: Ticks, pts: Ticks) {
        let mut state = self.lock();
        state.times.insert(pts);
        state.decoded = Some(dts);
        let keep = state.times.split_off(&(dts - KEPT));
        state.times = keep;
        drop(state);
        self.changed.notify_waiters();
    }

    /// No more pictures; the last one stays for `step`, but not beyond the
    /// segment it is in: what comes next may begin there.
    pub fn close(&self, step: Ticks, segment: Ticks) {
        let mut state = self.lock();
        let last = state.times.last().map_or(0, |at| at.0.rem_euclid(segment.0.max(1)));
        state.closed = Some(step.min(Ticks(segment.0.max(1) - last)));
        drop(state);
        self.changed.notify_waiters();
    }

    /// How long the picture at `pts` stays: waits until that is certain.
    pub async fn duration(&self, pts: Ticks) -> Ticks {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(duration) = self.lock().duration(pts) {
                return duration;
            }
            changed.await;
        }
    }
}

impl State {
    fn duration(&self, pts: Ticks) -> Option<Ticks> {
        let after = (std::ops::Bound::Excluded(pts), std::ops::Bound::Unbounded);
        let next = self.times.range(after).next().copied();
        match (next, self.closed) {
            // Pictures still to come are presented after they are decoded, so
            // none can come between.
            (Some(next), _) if self.closed.is_some() || self.decoded >= Some(next) => {
                Some(next - pts)
            }
            (None, Some(step)) => Some(step),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_certain_once_nothing_can_come_between() {
        let clock = FrameClock::default();
        let ms = Ticks::from_ms;
        // Decode order I0 P120 B40 B80: 120 follows 0 only until 40 is known.
        clock.feed(ms(-80), ms(0));
        clock.feed(ms(-40), ms(120));
        assert_eq!(clock.lock().duration(ms(0)), None);
        clock.feed(ms(0), ms(40));
        clock.feed(ms(40), ms(80));
        assert_eq!(clock.lock().duration(ms(0)), Some(ms(40)));
        assert_eq!(clock.lock().duration(ms(80)), None);
        clock.close(ms(33), ms(2_000));
        assert_eq!(clock.lock().duration(ms(80)), Some(ms(40)));
        assert_eq!(clock.lock().duration(ms(120)), Some(ms(33)));
    }

    #[test]
    fn the_last_picture_ends_with_its_segment() {
        let (clock, ms) = (FrameClock::default(), Ticks::from_ms);
        clock.feed(ms(3_990), ms(3_990));
        clock.close(ms(33), ms(2_000));
        assert_eq!(clock.lock().duration(ms(3_990)), Some(ms(10)));
    }
}
