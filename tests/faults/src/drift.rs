//! How far sound goes away from its pictures over a long time, in samples. Pure.
//!
//! RTMP's stamps are whole milliseconds, so one frame says it to 24 samples. Of three in a row the
//! roundings cancel out, of pictures (100 ms) as of frames of sound (64 ms).

use std::collections::HashMap;

use serde::Serialize;

use crate::measure::Shown;
use crate::truth::Truth;

/// Samples per millisecond.
const PER_MS: i64 = 48;
/// About a second, a multiple of three.
const PICTURES: usize = 30;
const FRAMES: usize = 48;

/// A frame of the recorded sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) hash: u64,
    /// In samples of 48,000 a second.
    pub(crate) begins: i64,
}

/// How many samples later than published the sound is beside its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drift {
    /// In the first second.
    pub(crate) first: i64,
    /// In the last.
    pub(crate) last: i64,
}

impl Drift {
    /// Of a broadcast over one connection; none when it is too short.
    pub(crate) fn of(truth: &Truth, shown: &[Shown], heard: &[Placed]) -> Option<Self> {
        let stamps: HashMap<u32, i64> =
            truth.pictures.iter().map(|picture| (picture.number, picture.stamp_ms)).collect();
        let pictures = shown.iter().filter_map(|shown| {
            let stamp = stamps.get(&shown.number?)?;
            Some((shown.ms - stamp) * PER_MS)
        });
        let frames = heard.iter().filter_map(|heard| {
            let sound = truth.sounds.get(&heard.hash)?;
            Some(heard.begins - sound.stamp_ms * PER_MS)
        });
        let (pictures, frames): (Vec<i64>, Vec<i64>) = (pictures.collect(), frames.collect());
        let first = mean(frames.get(..FRAMES)?) - mean(pictures.get(..PICTURES)?);
        let last = mean(frames.last_chunk::<FRAMES>()?) - mean(pictures.last_chunk::<PICTURES>()?);
        Some(Self { first, last })
    }

    /// What came to it.
    pub(crate) fn samples(self) -> i64 {
        self.last - self.first
    }
}

/// To the nearest.
fn mean(values: &[i64]) -> i64 {
    let count = i64::try_from(values.len()).unwrap_or(i64::MAX).max(1);
    (values.iter().sum::<i64>() + count / 2).div_euclid(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::{Picture, Sound};

    /// A minute, with stamps as RTMP rounds them.
    fn truth() -> Truth {
        let picture = |number: u32| {
            let stamp_ms = (i64::from(number) * 2_000 + 30) / 60;
            let is_keyframe = number.is_multiple_of(60);
            Picture { number, is_keyframe, shot: 0, media_ms: stamp_ms, stamp_ms }
        };
        let sound = |n: u64| {
            let stamp_ms = (i64::try_from(n).unwrap() * 2_048 + 48) / 96;
            (n, Sound { shot: 0, media_ms: stamp_ms, stamp_ms, stands: false })
        };
        let (pictures, sounds) = ((0..1_800).map(picture), (0..2_813).map(sound));
        Truth { pictures: pictures.collect(), sounds: sounds.collect() }
    }

    /// Everything 700 ms later, the sound 7 samples more.
    fn recorded(step: i64) -> (Vec<Shown>, Vec<Placed>) {
        let shown = |picture: &Picture| Shown {
            number: Some(picture.number),
            ms: picture.stamp_ms + 700,
            discontinuity: 0,
        };
        let placed = |n: u64| Placed {
            hash: n,
            begins: 700 * PER_MS + 7 + i64::try_from(n).unwrap() * step,
        };
        (truth().pictures.iter().map(shown).collect(), (0..2_813).map(placed).collect())
    }

    #[test]
    fn sound_that_stays_where_it_was_has_no_drift_in_spite_of_rounded_stamps() {
        let (shown, heard) = recorded(1_024);
        let drift = Drift::of(&truth(), &shown, &heard).unwrap();
        assert_eq!((drift.first, drift.last, drift.samples()), (7, 7, 0));
    }

    #[test]
    fn one_sample_too_many_in_forty_frames_is_told() {
        let (shown, mut heard) = recorded(1_024);
        for (n, placed) in (0_i64..).zip(&mut heard) {
            placed.begins += n / 40;
        }
        assert_eq!(Drift::of(&truth(), &shown, &heard).unwrap().samples(), 69);
    }

    #[test]
    fn too_little_says_nothing() {
        let (shown, heard) = recorded(1_024);
        assert_eq!(Drift::of(&truth(), &shown[..20], &heard), None);
        assert_eq!(Drift::of(&truth(), &shown, &heard[..20]), None);
    }
}
