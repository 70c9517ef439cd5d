//! Frames of sound compared: what was published, and what a listener was given. Pure.
//!
//! The transcoder passes them on as they are, so that a hash names each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use crate::measure::Shown;
use crate::truth::{Picture, Sound, Truth};

/// How long a frame is, in ms, rounded up: 1,024 samples of 48,000 a second.
const FRAME_MS: i64 = 22;

/// A frame of the recorded sound, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Of its data.
    pub(crate) hash: u64,
    /// When it begins.
    pub(crate) ms: i64,
    /// Discontinuity sequence number of its segment.
    pub(crate) discontinuity: u64,
}

/// What became of the sound of a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SoundCount {
    /// Frames of the log that belong to pictures which were shown, and are nowhere.
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// After a later one.
    pub(crate) disordered: usize,
    /// Nobody published them: silence, filled in.
    pub(crate) silence: usize,
    /// Of them, those between published frames whose stamps left no room for it.
    pub(crate) holes: usize,
    /// More than one kind of frames that nobody published.
    pub(crate) kinds: usize,
    /// The most that one is away from its place beside the pictures, in ms.
    pub(crate) away_ms: i64,
    /// The same, where stamps do not go with samples.
    pub(crate) away_by_clock_ms: i64,
}

impl SoundCount {
    /// What is wrong with it, in words.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let unless = |holds: bool, what: String| (!holds).then_some(what);
        let some = [
            unless(self.lost == 0, format!("{} frames lost", self.lost)),
            unless(self.doubled == 0, format!("{} frames twice", self.doubled)),
            unless(self.disordered == 0, format!("{} frames out of order", self.disordered)),
            unless(self.holes == 0, format!("{} frames of silence in between", self.holes)),
            unless(self.kinds < 2, format!("{} kinds of frames nobody sent", self.kinds)),
            unless(self.away_ms <= FRAME_MS, format!("{} ms away from the picture", self.away_ms)),
            unless(
                self.away_by_clock_ms <= 2 * FRAME_MS,
                format!("{} ms away from the picture by a wrong clock", self.away_by_clock_ms),
            ),
        ];
        some.into_iter().flatten().map(|what| format!("sound: {what}")).collect()
    }
}

/// Where the pictures of one stretch are.
#[derive(Debug, Clone, Copy)]
struct Base {
    first: Picture,
    last: Picture,
    /// What is between stamps and times shown.
    zero_ms: i64,
}

/// By discontinuity.
fn bases(truth: &Truth, shown: &[Shown]) -> BTreeMap<u64, Base> {
    let pictures: HashMap<u32, &Picture> = truth.pictures.iter().map(|p| (p.number, p)).collect();
    let mut bases: BTreeMap<u64, Base> = BTreeMap::new();
    for seen in shown {
        let Some(picture) = seen.number.and_then(|number| pictures.get(&number)) else { continue };
        let (first, zero_ms) = (**picture, seen.ms - picture.stamp_ms);
        let base = bases.entry(seen.discontinuity);
        base.or_insert(Base { first, last: first, zero_ms }).last = **picture;
    }
    bases
}

/// Holds what was heard beside these pictures to what is in the log.
pub(crate) fn count(truth: &Truth, logged: &[u64], shown: &[Shown], heard: &[Heard]) -> SoundCount {
    let mut count = SoundCount::default();
    let bases = bases(truth, shown);
    let mut seen: HashSet<u64> = HashSet::new();
    let mut strangers: BTreeSet<u64> = BTreeSet::new();
    let mut last: Option<Sound> = None;
    for (discontinuity, base) in &bases {
        let here = heard.iter().filter(|heard| heard.discontinuity == *discontinuity);
        let (mut silence, mut steps) = (0, BTreeSet::new());
        let (mut holes, mut away) = (0, 0);
        let mut begun = false;
        for heard in here {
            let Some(sound) = truth.sounds.get(&heard.hash) else {
                strangers.insert(heard.hash);
                count.silence += 1;
                silence += usize::from(begun);
                continue;
            };
            begun = true;
            holes += std::mem::take(&mut silence);
            steps.insert(sound.stamp_ms - sound.media_ms);
            away = away.max((heard.ms - base.zero_ms - sound.stamp_ms).abs());
            count.doubled += usize::from(!seen.insert(heard.hash));
            let place = |sound: &Sound| (sound.shot, sound.media_ms);
            count.disordered += usize::from(last.is_some_and(|last| place(sound) < place(&last)));
            last = Some(*sound);
        }
        // A clock that drifts or stands still leaves more time than there is sound, or less.
        if steps.len() > 1 {
            count.away_by_clock_ms = count.away_by_clock_ms.max(away);
        } else {
            count.away_ms = count.away_ms.max(away);
            count.holes += holes;
        }
    }
    let missing = logged.iter().filter(|hash| !seen.contains(*hash));
    let missing = missing.filter_map(|hash| truth.sounds.get(hash));
    count.lost = missing.filter(|sound| bases.values().any(|base| base.wants(sound))).count();
    count.kinds = strangers.len();
    count
}

impl Base {
    /// Whether it is to be heard beside the pictures: not where a base begins, whose first place may
    /// be a frame later.
    fn wants(&self, sound: &Sound) -> bool {
        let times = self.first.media_ms + FRAME_MS..=self.last.media_ms;
        sound.shot == self.first.shot && times.contains(&sound.media_ms) && !sound.stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two connections: pictures each 40 ms, sound each 20 ms with its number as hash.
    fn truth() -> Truth {
        let picture = |n: u32| {
            let (shot, media_ms) = (usize::from(n >= 10), i64::from(n) * 40);
            let stamp_ms = if shot == 0 { media_ms } else { media_ms - 400 };
            Picture { number: n, is_keyframe: n.is_multiple_of(10), shot, media_ms, stamp_ms }
        };
        let sound = |n: u64| {
            let (shot, media_ms) = (usize::from(n >= 20), i64::try_from(n).unwrap() * 20);
            let stamp_ms = if shot == 0 { media_ms } else { media_ms - 400 };
            (n, Sound { shot, media_ms, stamp_ms, stands: false })
        };
        Truth { pictures: (0..20).map(picture).collect(), sounds: (0..40).map(sound).collect() }
    }

    /// The second connection a second later.
    fn shown() -> Vec<Shown> {
        let shown = |n: u32| {
            let discontinuity = u64::from(n >= 10);
            let ms = i64::from(n) * 40 + if n >= 10 { 1_000 } else { 0 };
            Shown { number: Some(n), ms, discontinuity }
        };
        (0..20).map(shown).collect()
    }

    fn heard() -> Vec<Heard> {
        let heard = |n: u64| {
            let ms = i64::try_from(n).unwrap() * 20 + if n >= 20 { 1_000 } else { 0 };
            Heard { hash: n, ms: ms + 7, discontinuity: u64::from(n >= 20) }
        };
        (0..40).map(heard).collect()
    }

    fn count_of(heard: &[Heard]) -> SoundCount {
        let logged: Vec<u64> = (0..40).collect();
        count(&truth(), &logged, &shown(), heard)
    }

    #[test]
    fn sound_once_in_order_beside_its_pictures_is_as_it_should_be() {
        let count = count_of(&heard());
        assert_eq!(count, SoundCount { away_ms: 7, ..SoundCount::default() });
        assert_eq!(count.wrong(), [""; 0]);
    }

    #[test]
    fn a_frame_lost_doubled_or_out_of_order_is_told() {
        let mut lost = heard();
        lost.remove(5);
        assert_eq!(count_of(&lost).wrong(), ["sound: 1 frames lost"]);
        let mut doubled = heard();
        doubled.insert(6, doubled[5]);
        assert_eq!(count_of(&doubled).wrong(), ["sound: 1 frames twice"]);
        let mut disordered = heard();
        let (a, b) = (disordered[5].hash, disordered[6].hash);
        (disordered[5].hash, disordered[6].hash) = (b, a);
        let wrong = count_of(&disordered).wrong();
        assert!(wrong.contains(&"sound: 1 frames out of order".to_owned()), "{wrong:?}");
    }

    #[test]
    fn what_is_where_no_picture_is_or_begins_a_base_may_be_missing() {
        // The first of each connection, and the last, after the last picture.
        let some: Vec<_> = heard().into_iter().filter(|h| ![0, 20, 39].contains(&h.hash)).collect();
        assert_eq!(count_of(&some).wrong(), [""; 0]);
    }

    #[test]
    fn silence_counts_and_is_a_hole_where_there_was_sound() {
        let mut heard = heard();
        heard[5].hash = 777;
        heard[39].hash = 777;
        let count = count_of(&heard);
        assert_eq!((count.silence, count.holes, count.lost, count.kinds), (2, 1, 1, 1));
        heard[39].hash = 778;
        let wrong = count_of(&heard).wrong();
        assert!(wrong.contains(&"sound: 2 kinds of frames nobody sent".to_owned()), "{wrong:?}");
    }

    #[test]
    fn sound_away_from_the_picture_is_told() {
        let mut late = heard();
        for heard in late.iter_mut().filter(|heard| heard.discontinuity == 1) {
            heard.ms += 20;
        }
        assert_eq!(count_of(&late).wrong(), ["sound: 27 ms away from the picture"]);
    }

    #[test]
    fn by_a_clock_that_drifts_sound_may_be_two_frames_away_and_have_silence_in_it() {
        let mut truth = truth();
        for sound in truth.sounds.values_mut() {
            sound.stamp_ms += sound.media_ms / 20;
        }
        let mut heard = heard();
        heard.insert(19, Heard { hash: 777, ..heard[18] });
        let logged: Vec<u64> = (0..40).collect();
        let count = count(&truth, &logged, &shown(), &heard);
        assert_eq!((count.silence, count.holes, count.away_ms), (1, 0, 0));
        assert_eq!(count.wrong(), [""; 0]);
        assert!(count.away_by_clock_ms > 0);
    }
}
