//! What was published, message by message, and what of it may be lost by the publisher's own fault.
//! Pure.

use std::collections::HashMap;
use std::ops::Range;

use crate::publisher::Shot;

/// A step of the stamps beyond this, in ms, or back, is a jump (DESIGN: "over a second").
const JUMP_MS: i64 = 1_000;

/// A picture that was sent; its times are those of presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) number: u32,
    pub(crate) is_keyframe: bool,
    /// Which connection.
    pub(crate) shot: usize,
    /// Time in the material.
    pub(crate) media_ms: i64,
    pub(crate) stamp_ms: i64,
}

/// A frame of sound that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sound {
    /// Which connection.
    pub(crate) shot: usize,
    /// Time in the material.
    pub(crate) media_ms: i64,
    pub(crate) stamp_ms: i64,
    /// Its stamp is that of the one before: it has no time of its own.
    pub(crate) stands: bool,
}

/// All that was sent in a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Truth {
    pub(crate) pictures: Vec<Picture>,
    /// By hash.
    pub(crate) sounds: HashMap<u64, Sound>,
}

impl Truth {
    /// Of what each connection sent.
    pub(crate) fn of(shots: &[Shot]) -> Self {
        let mut truth = Self::default();
        for (shot, Shot { material, sent }) in shots.iter().enumerate() {
            let mut before = None;
            for message in sent {
                let Some(tag) = material.tags.get(message.tag) else { continue };
                let media_ms = tag.shown_ms();
                let stamp_ms = message.stamp_ms + tag.composition_ms();
                if let Some(number) = material.number(message.tag) {
                    let is_keyframe = tag.is_keyframe();
                    let picture = Picture { number, is_keyframe, shot, media_ms, stamp_ms };
                    truth.pictures.push(picture);
                } else if let Some(hash) = material.sound(message.tag) {
                    let stands = before.replace(stamp_ms) == Some(stamp_ms);
                    let sound = Sound { shot, media_ms, stamp_ms, stands };
                    truth.sounds.insert(hash, sound);
                }
            }
        }
        // As they are shown: B-frames are sent after what is shown after them.
        truth.pictures.sort_by_key(|picture| (picture.shot, picture.number));
        truth
    }

    /// The numbers that were sent, each stretch of a connection for itself.
    pub(crate) fn sent(&self) -> Vec<Range<u32>> {
        let mut sent: Vec<(usize, Range<u32>)> = Vec::new();
        for Picture { number, shot, .. } in self.pictures.iter().copied() {
            match sent.last_mut().filter(|(last, range)| *last == shot && range.end == number) {
                Some((_, range)) => range.end = number + 1,
                None => sent.push((shot, number..number + 1)),
            }
        }
        sent.into_iter().map(|(_, range)| range).collect()
    }

    /// Pictures that follow a jump of the clock, up to the next keyframe: nothing can begin there.
    pub(crate) fn behind_jumps(&self) -> Vec<u32> {
        let (mut behind, mut waits) = (Vec::new(), false);
        let pairs = self.pictures.iter().zip(self.pictures.iter().skip(1));
        for (before, picture) in pairs {
            let step = picture.stamp_ms - before.stamp_ms;
            let jumps = before.shot == picture.shot && !(0..=JUMP_MS).contains(&step);
            waits = (waits || jumps) && !picture.is_keyframe;
            if waits {
                behind.push(picture.number);
            }
        }
        behind
    }

    /// Pictures that have the stamp of the one before: they have no time of their own.
    pub(crate) fn standing(&self) -> Vec<u32> {
        let pairs = self.pictures.iter().zip(self.pictures.iter().skip(1));
        let stands = pairs.filter(|(before, picture)| {
            before.shot == picture.shot && before.stamp_ms == picture.stamp_ms
        });
        stands.map(|(_, picture)| picture.number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every fifth is a keyframe.
    fn picture(number: u32, shot: usize, stamp_ms: i64) -> Picture {
        let media_ms = i64::from(number) * 33;
        Picture { number, is_keyframe: number.is_multiple_of(5), shot, media_ms, stamp_ms }
    }

    fn truth(pictures: &[(u32, usize, i64)]) -> Truth {
        let picture = |(number, shot, stamp): &(u32, usize, i64)| picture(*number, *shot, *stamp);
        Truth { pictures: pictures.iter().map(picture).collect(), ..Truth::default() }
    }

    #[test]
    fn numbers_are_told_by_connection_and_stretch() {
        let truth = truth(&[(0, 0, 0), (1, 0, 33), (5, 0, 165), (6, 0, 198), (7, 1, 0)]);
        assert_eq!(truth.sent(), [0..2, 5..7, 7..8]);
    }

    #[test]
    fn what_follows_a_jump_is_lost_up_to_the_next_keyframe() {
        let ahead = truth(&[(1, 0, 0), (2, 0, 33), (3, 0, 1_034), (4, 0, 1_067), (5, 0, 1_100)]);
        assert_eq!(ahead.behind_jumps(), [3, 4]);
        let second = truth(&[(1, 0, 0), (2, 0, 1_000), (3, 0, 999), (4, 0, 1_033), (6, 0, 1_066)]);
        assert_eq!(second.behind_jumps(), [3, 4, 6]);
        let at_a_keyframe = truth(&[(4, 0, 0), (5, 0, 9_000), (6, 0, 9_033)]);
        assert_eq!(at_a_keyframe.behind_jumps(), [0; 0]);
        let another_connection = truth(&[(4, 0, 9_000), (6, 1, 0)]);
        assert_eq!(another_connection.behind_jumps(), [0; 0]);
    }

    #[test]
    fn pictures_of_one_stamp_stand_but_for_the_first() {
        let truth =
            truth(&[(0, 0, 0), (1, 0, 33), (2, 0, 33), (3, 0, 33), (4, 0, 132), (5, 1, 132)]);
        assert_eq!(truth.standing(), [2, 3]);
    }
}
