//! A log as ingest writes it, from what a source does.

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Epoch};
use millrace_media::record::{
    Body, End, EndReason, Frame, Open, Reassembler, Record, Track, split,
};
use proptest::prelude::*;
use uuid::Uuid;

/// 854x480, High, level 3.1, made by x264.
const VIDEO_CONFIG: &str = "170000000001640\
    01fffe100196764001facd940d83de6f01100000303e90000ea600f18319601000668eae3cb22c0fdf8f800";
/// AAC-LC, 48 kHz, stereo.
const AUDIO_CONFIG: &[u8] = &[0xaf, 0, 0x11, 0x90];
/// Samples of an AAC frame, and the source's rate.
const AAC: (i64, i64) = (1_024, 48_000);

/// What a source is like.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Between pictures, ms.
    pub(crate) step_ms: i64,
    /// Two pictures of three are presented before the one that is decoded first.
    pub(crate) reordered: bool,
    pub(crate) sound: bool,
    /// How long after its picture sound is written.
    pub(crate) sound_late_ms: i64,
}

/// What it does next.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// So many pictures, the first a keyframe, with their sound.
    Gop(usize),
    /// The same without sound.
    Mute(usize),
    /// Sound alone, for so long.
    Blind(i64),
    /// Both tracks' stamps jump.
    Jump(i64),
    /// Another connection, whose stamps begin here.
    Reconnect(i64),
}

pub(crate) fn source() -> impl Strategy<Value = Source> {
    (prop::sample::select(vec![33, 40, 50, 66, 125]), any::<bool>(), any::<bool>(), 0..450_i64)
        .prop_map(|(step_ms, reordered, sound, sound_late_ms)| Source {
            step_ms,
            reordered,
            sound,
            sound_late_ms,
        })
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (1..70_usize).prop_map(Act::Gop),
        2 => (1..40_usize).prop_map(Act::Mute),
        1 => (100..3_000_i64).prop_map(Act::Blind),
        1 => (-20_000..20_000_i64).prop_map(Act::Jump),
        1 => (0..1_000_000_i64).prop_map(Act::Reconnect),
    ]
}

/// The broadcast of every log.
pub(crate) fn broadcast() -> BroadcastId {
    BroadcastId(Uuid::from_u128(7))
}

/// The messages of a log in order; their places are their offsets.
pub(crate) fn write(source: &Source, acts: &[Act]) -> Vec<Bytes> {
    let mut log = Writer::new(source.clone());
    log.open();
    for act in acts {
        match act {
            Act::Gop(pictures) => log.gop(*pictures, source.sound),
            Act::Mute(pictures) => log.gop(*pictures, false),
            Act::Blind(ms) => {
                log.video_ms += ms;
                log.sound_until(log.video_ms);
            }
            Act::Jump(ms) => log.jump_to(log.video_ms.saturating_add(*ms).max(0)),
            Act::Reconnect(at) => {
                log.late.clear();
                log.jump_to(*at);
                log.open();
            }
        }
    }
    log.end();
    log.messages
}

/// Of offset and record, as a reader reassembles them.
pub(crate) fn read(messages: &[Bytes], from: i64) -> impl Iterator<Item = (i64, i64, Record)> {
    let mut reassembler = Reassembler::default();
    let from = usize::try_from(from).unwrap();
    messages.iter().enumerate().skip(from).filter_map(move |(offset, message)| {
        let offset = i64::try_from(offset).unwrap();
        let (begins, record) = reassembler.push_at(offset, message).unwrap()?;
        Some((begins, offset + 1, record))
    })
}

struct Writer {
    source: Source,
    messages: Vec<Bytes>,
    epoch: Epoch,
    sequence: u64,
    /// Of all frames, so that each is told from every other.
    id: u64,
    /// Decode time of the next picture.
    video_ms: i64,
    /// The sound's own clock: where it began, and frames since.
    sound_ms: i64,
    sounds: i64,
    /// Sound that is not written yet.
    late: Vec<i64>,
    arrival_ms: i64,
}

impl Writer {
    fn new(source: Source) -> Self {
        Self {
            source,
            messages: Vec::new(),
            epoch: Epoch(0),
            sequence: 0,
            id: 0,
            video_ms: 100,
            sound_ms: 100,
            sounds: 0,
            late: Vec::new(),
            arrival_ms: 1_700_000_000_000,
        }
    }

    fn facts(&self) -> Open {
        Open {
            broadcast: broadcast(),
            nonce: Uuid::from_u128(self.epoch.0.into()),
            key_id: "abcd".parse().unwrap(),
            started_ms: 1_700_000_000_000,
            resumed: self.epoch.0 > 1,
        }
    }

    fn push(&mut self, body: Body) {
        self.messages.extend(split(&Record { epoch: self.epoch, body }).unwrap());
    }

    fn open(&mut self) {
        self.epoch = self.epoch.next();
        self.push(Body::Open(self.facts()));
        self.configurations(false);
    }

    fn end(&mut self) {
        self.sound_until(i64::MAX);
        self.push(Body::End(End { broadcast: broadcast(), reason: EndReason::Unpublished }));
    }

    fn configurations(&mut self, repeated: bool) {
        self.frame(Track::Video, (false, true, repeated), (self.video_ms, 0), video_config());
        if self.source.sound {
            let sound = Bytes::from_static(AUDIO_CONFIG);
            self.frame(Track::Audio, (false, true, repeated), (self.video_ms, 0), sound);
        }
    }

    fn frame(
        &mut self,
        track: Track,
        (keyframe, config, repeated): (bool, bool, bool),
        (time_ms, composition_ms): (i64, i64),
        payload: Bytes,
    ) {
        self.sequence += 1;
        self.arrival_ms += 10;
        self.push(Body::Frame(Frame {
            track,
            keyframe,
            config,
            repeated,
            sequence: self.sequence,
            time_ms,
            composition_ms: i32::try_from(composition_ms).unwrap(),
            arrival_ms: self.arrival_ms,
            payload,
        }));
    }

    /// Pictures in decode order, a keyframe first.
    fn gop(&mut self, pictures: usize, sound: bool) {
        let begins = self.video_ms;
        for (n, shown) in shown(pictures, self.source.reordered).into_iter().enumerate() {
            if n == 0 {
                self.push(Body::Facts(self.facts()));
                self.configurations(true);
            }
            let dts = begins + i64::try_from(n).unwrap() * self.source.step_ms;
            let delay = if self.source.reordered { 2 } else { 0 };
            let pts = begins + (i64::try_from(shown).unwrap() + delay) * self.source.step_ms;
            let tag = [&[if n == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0], &self.id()[..]].concat();
            self.frame(Track::Video, (n == 0, false, false), (dts, pts - dts), tag.into());
            self.video_ms = dts + self.source.step_ms;
            if sound {
                self.sound_until(self.video_ms);
            } else {
                self.no_sound_until(self.video_ms);
            }
        }
    }

    fn id(&mut self) -> [u8; 8] {
        self.id += 1;
        self.id.to_be_bytes()
    }

    fn next_sound_ms(&self) -> i64 {
        self.sound_ms + self.sounds * AAC.0 * 1_000 / AAC.1
    }

    fn no_sound_until(&mut self, until: i64) {
        while self.source.sound && self.next_sound_ms() < until {
            self.sounds += 1;
        }
    }

    /// Sound up to this moment comes into being; what is late enough is written.
    fn sound_until(&mut self, until: i64) {
        while self.source.sound && until < i64::MAX && self.next_sound_ms() < until {
            self.late.push(self.next_sound_ms());
            self.sounds += 1;
        }
        let written = until.saturating_sub(self.source.sound_late_ms);
        let ready = self.late.iter().take_while(|at| **at < written).count();
        for at in self.late.drain(..ready).collect::<Vec<_>>() {
            let tag = [&[0xaf, 1], &self.id()[..]].concat();
            self.frame(Track::Audio, (false, false, false), (at, 0), tag.into());
        }
    }

    fn jump_to(&mut self, at: i64) {
        self.sound_until(i64::MAX);
        (self.video_ms, self.sound_ms, self.sounds) = (at, at, 0);
    }
}

/// The places in the order shown of pictures in the order decoded.
fn shown(pictures: usize, reordered: bool) -> Vec<usize> {
    if !reordered {
        return (0..pictures).collect();
    }
    let mut order = vec![0];
    let mut next = 1;
    while next < pictures {
        let last = (next + 2).min(pictures - 1);
        order.push(last);
        order.extend(next..last);
        next = last + 1;
    }
    order
}

pub(crate) fn video_config() -> Bytes {
    let digits = VIDEO_CONFIG.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect::<Vec<_>>().into()
}
