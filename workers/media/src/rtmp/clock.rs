//! RTMP's 32-bit milliseconds, unwrapped to 64 bit (RTMP §5.1).

/// Unwraps the timestamps of one message stream.
///
/// A timestamp is taken to be the one nearest to its predecessor, so the count
/// goes on over the wrap after 49.7 days, and a message that is a little late
/// just after the wrap still lands before it. Audio and video share one clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnwrapClock {
    last: Option<i64>,
}

impl UnwrapClock {
    /// The time in ms of a message with this timestamp. The first message's
    /// time is its timestamp.
    pub fn unwrap(&mut self, timestamp: u32) -> i64 {
        let time = match self.last {
            None => i64::from(timestamp),
            Some(last) => {
                // The low 32 bits are where the last timestamp stood.
                let low = u32::try_from(last.rem_euclid(1 << 32)).unwrap_or_default();
                let step = timestamp.wrapping_sub(low).cast_signed();
                last.saturating_add(i64::from(step))
            }
        };
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn time_goes_on_over_the_wrap_and_back() {
        let mut clock = UnwrapClock::default();
        let times = [0xffff_fff0, 5, 0xffff_fffe, 9].map(|t| clock.unwrap(t));
        assert_eq!(times, [0xffff_fff0, 0x1_0000_0005, 0xffff_fffe, 0x1_0000_0009]);
    }

    #[test]
    fn a_small_step_below_zero_is_negative() {
        let mut clock = UnwrapClock::default();
        assert_eq!([clock.unwrap(3), clock.unwrap(0xffff_ffff)], [3, -1]);
    }

    proptest! {
        #[test]
        fn steps_below_half_the_range_come_back_exactly(
            start in any::<u32>(),
            steps in prop::collection::vec(-0x7fff_ffff_i64..0x7fff_ffff, 0..50),
        ) {
            let mut clock = UnwrapClock::default();
            let mut time = i64::from(start);
            prop_assert_eq!(clock.unwrap(start), time);
            for step in steps {
                time += step;
                let low = u32::try_from(time.rem_euclid(1 << 32)).unwrap();
                prop_assert_eq!(clock.unwrap(low), time);
            }
        }
    }
}
