//! What a publisher's clock shows when it stamps its messages. Pure.

/// Something that happens to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warp {
    /// It is put so many ms ahead, or back.
    Jump(i64),
    /// It stands still for so many ms, and is right again then.
    Stall(i64),
    /// That of the sound goes so many thousandths faster, or slower, from then on.
    Sound(i64),
}

/// The stamps of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps {
    /// What is added to the time in the material, in ms.
    offset: i64,
    /// What happens, and at which time in the material.
    warps: Vec<(i64, Warp)>,
}

impl Stamps {
    /// Time `media_ms` of the material has the stamp `stamp_ms`.
    pub fn from(media_ms: i64, stamp_ms: i64) -> Self {
        Self { offset: stamp_ms - media_ms, warps: Vec::new() }
    }

    /// It happens at this time in the material.
    pub fn warp(&mut self, media_ms: i64, warp: Warp) {
        self.warps.push((media_ms, warp));
    }

    /// The stamp of what is at `media_ms` of the material, before it is cut to 32 bits.
    pub fn at(&self, video: bool, media_ms: i64) -> i64 {
        let begun = self.warps.iter().filter(|(from, _)| *from <= media_ms);
        let shifts = begun.map(|(from, warp)| match warp {
            Warp::Jump(by) => *by,
            Warp::Stall(length) if media_ms - from < *length => from - media_ms,
            Warp::Sound(thousandths) if !video => (media_ms - from) * thousandths / 1_000,
            Warp::Stall(_) | Warp::Sound(_) => 0,
        });
        media_ms + self.offset + shifts.sum::<i64>()
    }

    /// Whether a stamp may be less than the one before.
    pub fn may_go_back(&self) -> bool {
        !self.warps.is_empty() || self.offset > i64::from(u32::MAX / 2)
    }
}

/// As it is on the wire: 32 bits, and again from 0 after 49.7 days (RTMP §5.3.1.2.1).
pub fn on_the_wire(stamp_ms: i64) -> u32 {
    u32::try_from(stamp_ms.rem_euclid(1 << 32)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_right_tells_the_time_since_its_beginning() {
        let stamps = Stamps::from(4_000, 100);
        assert_eq!([4_000, 4_033].map(|at| stamps.at(true, at)), [100, 133]);
        assert!(!stamps.may_go_back());
    }

    #[test]
    fn a_jump_moves_all_that_follows_and_a_stall_only_what_is_in_it() {
        let mut stamps = Stamps::default();
        stamps.warp(1_000, Warp::Jump(-5_000));
        assert_eq!([999, 1_000, 2_000].map(|at| stamps.at(false, at)), [999, -4_000, -3_000]);
        let mut stamps = Stamps::default();
        stamps.warp(1_000, Warp::Stall(2_000));
        let seen = [999, 1_000, 1_033, 2_999, 3_000].map(|at| stamps.at(true, at));
        assert_eq!(seen, [999, 1_000, 1_000, 1_000, 3_000]);
        assert!(stamps.may_go_back());
    }

    #[test]
    fn a_drift_grows_and_is_the_sounds_alone() {
        let mut stamps = Stamps::default();
        stamps.warp(1_000, Warp::Sound(10));
        assert_eq!([1_000, 2_000, 11_000].map(|at| stamps.at(false, at)), [1_000, 2_010, 11_100]);
        assert_eq!(stamps.at(true, 11_000), 11_000);
    }

    #[test]
    fn stamps_wrap_on_the_wire_in_both_directions() {
        assert_eq!(on_the_wire((1 << 32) + 7), 7);
        assert_eq!(on_the_wire(-1), u32::MAX);
        assert!(Stamps::from(0, (1 << 32) - 8_000).may_go_back());
    }
}
