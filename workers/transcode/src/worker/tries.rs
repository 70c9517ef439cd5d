//! When a place of the log is given up. Pure.

/// Failures at one place before it is left out.
const TRIES: u32 = 6;
/// Encoders killed there before it is: pictures that take more memory than there
/// is may not stop a stream for ever, and who kills for other reasons gets tired.
const KILLS: u32 = 20;

/// What stopped the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The source's own bytes, maybe.
    Source,
    /// Somebody killed the encoder; the kernel too, when memory is out.
    Killed,
    /// Something else.
    Other,
}

/// Counts the failures at the place where the next part with pictures begins.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failures: u32,
    kills: u32,
}

impl Tries {
    /// Work stopped: whether parts with pictures had come out since it began,
    /// so that the place is another one, and why. True when the place is to be
    /// left out; it then counts from none.
    pub(super) fn is_hopeless(&mut self, got_on: bool, cause: Cause) -> bool {
        if got_on {
            *self = Self::default();
        }
        self.failures += u32::from(cause == Cause::Source);
        self.kills += u32::from(cause == Cause::Killed);
        if self.failures < TRIES && self.kills < KILLS {
            return false;
        }
        *self = Self::default();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Cause::{Killed, Other, Source};
    use super::*;

    #[test]
    fn a_place_is_left_out_when_the_sixth_encoder_in_a_row_dies_there() {
        let mut tries = Tries::default();
        let said: Vec<_> = (0..7).map(|_| tries.is_hopeless(false, Source)).collect();
        assert_eq!(said, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn what_is_not_the_encoders_end_does_not_count() {
        let mut tries = Tries::default();
        assert!((0..100).all(|_| !tries.is_hopeless(false, Other)));
        // Nor does it make up for what counts.
        let cause = |n| if n % 2 == 0 { Source } else { Other };
        let said: Vec<_> = (0..11).map(|n| tries.is_hopeless(false, cause(n))).collect();
        assert_eq!(said.iter().position(|left_out| *left_out), Some(10));
    }

    #[test]
    fn a_place_is_left_out_when_the_twentieth_encoder_in_a_row_is_killed_there() {
        let mut tries = Tries::default();
        let said: Vec<_> = (0..21).map(|_| tries.is_hopeless(false, Killed)).collect();
        assert_eq!(said.iter().position(|left_out| *left_out), Some(19));
        assert!(!said[20]);
        // Those that die by themselves there count for themselves.
        let cause = |n| if n % 2 == 0 { Source } else { Killed };
        let said: Vec<_> = (0..11).map(|n| tries.is_hopeless(false, cause(n))).collect();
        assert_eq!(said.iter().position(|left_out| *left_out), Some(10));
    }

    #[test]
    fn pictures_that_came_out_make_it_another_place() {
        let mut tries = Tries::default();
        assert!((0..100).all(|n| !tries.is_hopeless(n % 5 == 0, Source)));
        assert!((0..100).all(|n| !tries.is_hopeless(n % 19 == 0, Killed)));
    }
}
