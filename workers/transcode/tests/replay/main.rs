//! Fold and packager under crashes: whatever is killed between any two writes,
//! what is published in the end holds the same frames at the same times as
//! without, under names that never changed their bytes, without a number left
//! out.
//!
//! The pure parts are the real ones: the fold and its snapshots, renditions and
//! cutters, the plan of a resume, checkpoints and the index's head. The world
//! and the order of writes are models.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod archive;
mod encoder;
mod lane;
mod log;
mod process;
mod world;

use std::collections::HashMap;

use bytes::Bytes;
use millrace_harness::recorder::{Init, sha};
use millrace_media::aac::{AacConfig, silent_frame};
use millrace_media::avc::AvcConfig;
use millrace_media::cmaf;
use millrace_media::id::{Msn, RenditionName};
use millrace_media::published::{
    Access, BroadcastInfo, Entry, FrameRate, RenditionInfo, RenditionKind, SegmentInfo,
};
use millrace_media::time::Ticks;
use millrace_media::timeline::{AudioData, Event, Timeline};
use proptest::prelude::*;

use log::{Act, Source};
use process::Process;
use world::World;

pub(crate) const SEGMENT: Ticks = Ticks::from_ms(2_000);
pub(crate) const PART_TARGET: Ticks = Ticks::from_ms(215);
/// More acts than any case needs: a process that is stuck is found.
const MAX_ACTS: usize = 2_000_000;

/// What happens to the world.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The process dies; another begins.
    Crash,
    /// The process stands still and goes on beside the next one.
    Pause,
    /// Redis loses everything.
    Empty,
    /// Parts of long ago are gone, and the process dies.
    Expire,
}

fn faults() -> impl Strategy<Value = Vec<(usize, Fault)>> {
    let fault = prop_oneof![
        5 => Just(Fault::Crash),
        2 => Just(Fault::Pause),
        2 => Just(Fault::Empty),
        1 => Just(Fault::Expire),
    ];
    prop::collection::vec((1..3_000_usize, fault), 0..8)
}

pub(crate) fn info(sound: bool) -> BroadcastInfo {
    let rendition = |name: &str, kind, timescale| RenditionInfo {
        name: name.parse().unwrap(),
        kind,
        codecs: String::new(),
        timescale,
        bandwidth: 1,
        average_bandwidth: 1,
    };
    let mut renditions = vec![
        rendition("480p", RenditionKind::Video { width: 854, height: 480 }, 90_000),
        rendition("720p", RenditionKind::Video { width: 1_280, height: 720 }, 90_000),
    ];
    if sound {
        let kind = RenditionKind::Audio { sample_rate: 48_000, channels: 2 };
        renditions.push(rendition("audio", kind, 48_000));
    }
    BroadcastInfo {
        stream: "events.keynote".parse().unwrap(),
        broadcast: log::broadcast(),
        started_ms: 0,
        segment_duration: SEGMENT,
        part_target: PART_TARGET,
        dvr_window: Ticks::from_ms(600_000),
        frame_rate: FrameRate { num: 25, den: 1 },
        renditions,
        ended: false,
        access: Access::default(),
    }
}

/// A rendition's init segment.
pub(crate) fn init(info: &RenditionInfo) -> Bytes {
    match info.kind {
        RenditionKind::Audio { .. } => {
            let config = Bytes::from_static(&[0x11, 0x90]);
            cmaf::audio_init(&AacConfig::parse(&config).unwrap())
        }
        RenditionKind::Video { .. } => {
            cmaf::video_init(&AvcConfig::parse(&log::video_config().slice(5..)).unwrap())
        }
    }
}

/// A picture as an encoder gives it: one NAL unit that says which it is.
pub(crate) fn nal(id: &[u8], sync: bool) -> Bytes {
    [&[0, 0, 0, 9, if sync { 0x65 } else { 0x41 }], id].concat().into()
}

/// A frame: when it begins, in the rendition's timescale; which it is (0:
/// silence).
type Shown = (i64, u64);

/// All frames of the fold, by rendition.
fn folded(messages: &[Bytes], sound: bool) -> HashMap<RenditionName, Vec<Shown>> {
    let mut timeline = Timeline::new(SEGMENT);
    let mut events = Vec::new();
    for (begins, _, record) in log::read(messages, 0) {
        timeline.push(begins, record, &mut events);
    }
    let id = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    for event in &events {
        match event {
            Event::Video(frame) => pictures.push((frame.pts.0, id(&frame.payload[5..]))),
            Event::Audio(frame) => {
                let id = match &frame.data {
                    AudioData::Silence => 0,
                    AudioData::Frame(body) => id(&body[2..]),
                };
                sounds.push((frame.index * 1_024, id));
            }
            _ => {}
        }
    }
    pictures.sort_unstable();
    let name = |info: RenditionInfo| match info.kind {
        RenditionKind::Video { .. } => (info.name, pictures.clone()),
        RenditionKind::Audio { .. } => (info.name, sounds.clone()),
    };
    info(sound).renditions.into_iter().map(name).collect()
}

/// Plays the log with these faults, until every process is at its end.
fn play(messages: &[Bytes], sound: bool, faults: &[(usize, Fault)], seed: u64) -> World {
    let mut world = World::default();
    let mut token = 0;
    let mut start = |world: &World| {
        token += 1;
        Process::start(token, world, messages, sound)
    };
    // The last began last.
    let mut processes = vec![start(&world)];
    let mut faults = faults.iter();
    let mut next = faults.next();
    let mut since = 0;
    let mut random = seed | 1;
    for _ in 0..MAX_ACTS {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let choice = usize::try_from(random >> 20).unwrap();
        // Those that stand still do a little all the same.
        let last = processes.len() - 1;
        let one = if choice.is_multiple_of(7) { choice / 7 % processes.len() } else { last };
        since += 1;
        let mut dead = processes[one].step(&mut world, choice / 64).is_err();
        if let Some((_, fault)) = next.filter(|(acts, _)| since >= *acts) {
            (since, next) = (0, faults.next());
            match fault {
                Fault::Crash => dead = true,
                Fault::Empty => world.empty_redis(),
                Fault::Expire => {
                    world.expire_parts();
                    dead = true;
                }
                Fault::Pause => processes.push(start(&world)),
            }
        }
        if dead {
            world.one_died();
            processes[one] = start(&world);
        } else if processes[one].finished {
            processes.remove(one);
        }
        if processes.is_empty() {
            return world;
        }
    }
    panic!("it never ends");
}

/// What the index says is there, by rendition and number; none where there is a
/// gap.
type Published = HashMap<RenditionName, Vec<(Msn, Option<Vec<(i64, i64, u64)>>)>>;

fn published(world: &World, sound: bool, frames: u64) -> Published {
    let mut ids = HashMap::from([(sha(&silent_frame(2).unwrap()), 0)]);
    for id in 1..=frames {
        let bytes = id.to_be_bytes();
        ids.insert(sha(&bytes), id);
        ids.insert(sha(&nal(&bytes, true)), id);
        ids.insert(sha(&nal(&bytes, false)), id);
    }
    let head = world.head().unwrap();
    assert!(head.info.ended, "the end is not in the index");
    let mut all = Published::new();
    for rendition in info(sound).renditions {
        let reader = Init::parse(&init(&rendition)).unwrap();
        let list = head.segments.get(&rendition.name).map_or(&[][..], Vec::as_slice);
        let mut told = Vec::new();
        for segment in list {
            let frames = (!segment.gap).then(|| {
                let bytes = world.stored(&rendition.name, segment);
                let bytes = bytes.unwrap_or_else(|| panic!("{segment:?} has no bytes"));
                assert!(world.store.inits.contains_key(&segment.init), "no init segment");
                let frames = reader.frames(bytes).unwrap();
                let end = frames.last().map_or(0, |f| f.dts + f.duration);
                assert_eq!(end, segment.start + segment.duration, "{segment:?}");
                frames.iter().map(|f| (f.dts, f.duration, ids[&f.sha])).collect()
            });
            told.push((segment.msn, frames));
        }
        for (n, (msn, _)) in told.iter().enumerate() {
            assert_eq!(msn.0, told[0].0.0 + n as u64, "{}: a number is left out", rendition.name);
        }
        // Viewers of the live edge were told the same times. Names may be another's:
        // of two writers at once one may be first in Redis and the other in the index.
        for entry in world.entries(&rendition.name) {
            if let Entry::Segment(listed) = entry {
                let indexed = list.iter().find(|segment| segment.msn == listed.msn);
                let same = |s: &SegmentInfo| {
                    s.gap || (s.start, s.duration) == (listed.start, listed.duration)
                };
                assert!(indexed.is_some_and(same), "{listed:?} is listed, {indexed:?} is indexed");
            }
        }
        all.insert(rendition.name, told);
    }
    all
}

fn check(source: &Source, acts: &[Act], faults: &[(usize, Fault)], seed: u64) {
    let messages = log::write(source, acts);
    let folded = folded(&messages, source.sound);
    if folded.values().any(Vec::is_empty) {
        // No keyframe, no broadcast.
        return;
    }
    let frames = messages.len() as u64;
    let undisturbed = published(&play(&messages, source.sound, &[], seed), source.sound, frames);
    for (name, frames) in &folded {
        let told: Vec<_> = undisturbed[name]
            .iter()
            .flat_map(|(_, frames)| frames.iter().flatten())
            .map(|(at, _, id)| (*at, *id))
            .collect();
        assert_eq!(&told, frames, "{name} without a fault");
    }
    let world = play(&messages, source.sound, faults, seed);
    let disturbed = published(&world, source.sound, frames);
    for (name, told) in &undisturbed {
        for (segment, other) in told.iter().zip(&disturbed[name]) {
            if !world.forgiven.contains(&(name.clone(), segment.0)) {
                assert_eq!(segment, other, "{name} with faults");
            }
        }
        assert_eq!(told.len(), disturbed[name].len(), "{name}: segments with faults");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn what_is_published_is_the_same_whatever_is_killed_when(
        source in log::source(),
        acts in prop::collection::vec(log::act(), 1..14),
        faults in faults(),
        seed in any::<u64>(),
    ) {
        check(&source, &acts, &faults, seed);
    }
}

/// What once was lost: a segment without the parts that its second writer had
/// found, once Redis was emptied.
#[test]
fn parts_that_were_found_are_listed_again_too() {
    let source = Source { step_ms: 125, reordered: true, sound: true, sound_late_ms: 175 };
    let (acts, crash) = ([Act::Gop(20), Act::Gop(62)], Fault::Crash);
    for seed in 1..40 {
        let faults =
            [(2_588, crash), (1_989, crash), (536, crash), (1_054, Fault::Empty), (1_209, crash)];
        check(&source, &acts, &faults, seed * 1_000_003);
    }
}

/// What once was lost: the end, where a process that had stood still claimed a
/// run after it and went on with the index that it had read before.
#[test]
fn a_process_that_claims_after_the_end_does_not_hide_it() {
    let source = Source { step_ms: 40, reordered: false, sound: false, sound_late_ms: 0 };
    let acts = [Act::Mute(1), Act::Gop(42), Act::Gop(27), Act::Mute(39)];
    for seed in 1..40 {
        check(&source, &acts, &[(53, Fault::Pause)], seed * 1_000_003);
    }
}
