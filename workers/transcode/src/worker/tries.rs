//! When a place of the log is given up. Pure.

/// Failures at one place before it is left out.
const TRIES: u32 = 6;

/// Counts the failures at the place where the next part with pictures begins.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failures: u32,
}

impl Tries {
    /// Work stopped: whether parts with pictures had come out since it began,
    /// so that the place is another one, and whether the source may be to blame.
    /// True when the place is to be left out; it then counts from none.
    pub(super) fn is_hopeless(&mut self, got_on: bool, may_be_the_source: bool) -> bool {
        if got_on {
            self.failures = 0;
        }
        self.failures += u32::from(may_be_the_source);
        if self.failures < TRIES {
            return false;
        }
        self.failures = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_left_out_when_the_sixth_encoder_in_a_row_dies_there() {
        let mut tries = Tries::default();
        let said: Vec<_> = (0..7).map(|_| tries.is_hopeless(false, true)).collect();
        assert_eq!(said, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn encoders_that_others_killed_do_not_count() {
        let mut tries = Tries::default();
        assert!((0..100).all(|_| !tries.is_hopeless(false, false)));
        // Nor do they make up for those that count.
        let said: Vec<_> = (0..11).map(|n| tries.is_hopeless(false, n % 2 == 0)).collect();
        assert_eq!(said.iter().position(|left_out| *left_out), Some(10));
    }

    #[test]
    fn pictures_that_came_out_make_it_another_place() {
        let mut tries = Tries::default();
        assert!((0..100).all(|n| !tries.is_hopeless(n % 5 == 0, true)));
    }
}
