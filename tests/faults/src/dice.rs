//! Chance that is the same again for the same seed, on every machine and with every library.

use std::time::Duration;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Those of `seed` for one `use`: another name throws other numbers.
    pub(crate) fn new(seed: u64, r#use: &str) -> Self {
        // FNV-1a.
        let hash = r#use.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whole milliseconds from `from` to under `to`.
    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(u64::MAX);
        from + Duration::from_millis(self.next() % span.max(1))
    }

    /// One of several; none of none.
    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.next() % count).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_use_throw_the_same_again_and_others_do_not() {
        let throw = |seed, r#use| {
            let mut dice = Dice::new(seed, r#use);
            [(); 4].map(|()| dice.between(Duration::ZERO, Duration::from_secs(2)))
        };
        assert_eq!(throw(7, "moon"), throw(7, "moon"));
        assert_ne!(throw(7, "moon"), throw(8, "moon"));
        assert_ne!(throw(7, "moon"), throw(7, "sun"));
        // What was published with a seed is to be had with it tomorrow.
        assert_eq!(throw(1, "undisturbed").map(|time| time.as_millis()), [1_639, 807, 280, 347]);
    }

    #[test]
    fn throws_are_between_and_of_all() {
        let mut dice = Dice::new(1, "many");
        let (from, to) = (Duration::from_millis(500), Duration::from_millis(520));
        let thrown: Vec<_> = (0..500).map(|_| dice.between(from, to).as_millis()).collect();
        assert!((500..520).all(|ms| thrown.contains(&ms)), "{thrown:?}");
        let drawn: Vec<_> = (0..60).filter_map(|_| dice.one_of(&[1, 2, 3])).collect();
        assert!([1, 2, 3].iter().all(|one| drawn.contains(&one)));
        assert_eq!(dice.one_of::<u8>(&[]), None);
    }
}
