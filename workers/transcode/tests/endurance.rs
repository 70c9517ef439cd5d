//! A day of one broadcast through fold, packager and index, as fast as they go: nothing grows, and
//! sound stays beside the picture.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use millrace_harness::process::resident;
use millrace_media::aac::{AacConfig, silent_frame};
use millrace_media::cmaf;
use millrace_media::id::{BroadcastId, Epoch, Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{Access, BroadcastInfo, FrameRate, RenditionInfo, RenditionKind};
use millrace_media::record::{Body, Frame, Open, Record, Track};
use millrace_media::time::Ticks;
use millrace_media::timeline::{Event, Timeline};
use millrace_transcode::package::{Grid, Sample};
use millrace_transcode::publish::lane::{Lane, Limit};
use millrace_transcode::publish::redis::RedisOp;
use millrace_transcode::publish::resume::RenditionResume;
use millrace_transcode::publish::store::StoreOp;
use millrace_transcode::rendition::{Rendition, RunContext};
use nix::unistd::Pid;
use uuid::Uuid;

const SEGMENT: Ticks = Ticks::from_ms(2_000);
const PART_TARGET: Ticks = Ticks::from_ms(215);
const HOURS: i64 = 24;
const FPS: i64 = 30;
/// AAC-LC, 48 kHz, stereo.
const SOUND: &[u8] = &[0x11, 0x90];
const AAC: (i64, i64) = (1_024, 48_000);
/// What may come on top of the memory after the first tenth.
const GROWTH: u64 = 8 << 20;
/// Of sound and picture, where each is cut: a part of each, and a frame.
const APART_MS: i64 = 2 * 215 + 34;

/// One rendition, and how far it was published.
struct Out {
    name: RenditionName,
    timescale: u32,
    rendition: Rendition,
    redis: Arc<Lane<RedisOp>>,
    store: Arc<Lane<StoreOp>>,
    /// Where the last part ended.
    end: Option<i64>,
    next: Msn,
    init: Bytes,
}

impl Out {
    fn new(name: &str, timescale: u32, init: Bytes) -> Self {
        let limit = Limit { bytes: usize::MAX, items: usize::MAX };
        let (redis, store) = (Arc::new(Lane::new(limit)), Arc::new(Lane::new(limit)));
        let name: RenditionName = name.parse().unwrap();
        let grid = Grid { timescale, segment: SEGMENT, part_target: PART_TARGET };
        let resume = RenditionResume::default();
        let (to_redis, to_store) = (Arc::clone(&redis), Arc::clone(&store));
        let rendition = Rendition::new(name.clone(), grid, &resume, Vec::new(), to_redis, to_store);
        Self { name, timescale, rendition, redis, store, end: None, next: Msn(0), init }
    }

    /// Takes what is to be published: parts without a hole, segments without one left out.
    fn publish(&mut self, head: &mut Head) {
        while let Some(op) = self.redis.pop().now_or_never() {
            match op.unwrap() {
                RedisOp::Part { info, .. } => {
                    assert!(self.end.is_none_or(|end| end == info.start), "{}: a hole", self.name);
                    self.end = Some(info.start + info.duration);
                }
                RedisOp::Segment { info, .. } => {
                    assert_eq!((info.msn, info.gap), (self.next, false), "of {}", self.name);
                    self.next = info.msn.next();
                }
                RedisOp::Init { .. } => {}
            }
            self.redis.done();
        }
        while let Some(op) = self.store.pop().now_or_never() {
            if let StoreOp::Segment { info, .. } = op.unwrap() {
                head.push(&self.name, info);
            }
            self.store.done();
        }
    }

    fn end_ms(&self) -> i64 {
        Ticks::from_units(self.end.unwrap_or_default(), self.timescale).as_ms()
    }
}

/// What ingest would write of a source whose stamps are whole milliseconds.
struct Source {
    pictures: i64,
    sounds: i64,
    sequence: u64,
}

impl Source {
    fn frame(&mut self, track: Track, (keyframe, config): (bool, bool), payload: Bytes) -> Record {
        self.sequence += 1;
        let time_ms = match track {
            Track::Video => self.pictures * 1_000 / FPS,
            Track::Audio => self.sounds * AAC.0 * 1_000 / AAC.1,
        };
        let arrival_ms = 1_700_000_000_000 + time_ms;
        let body = Body::Frame(Frame {
            track,
            keyframe,
            config,
            repeated: false,
            sequence: self.sequence,
            time_ms,
            composition_ms: 0,
            arrival_ms,
            payload,
        });
        Record { epoch: Epoch(1), body }
    }

    /// The next frame, whichever track's is due.
    fn next(&mut self) -> Record {
        if self.sounds * AAC.0 * FPS < self.pictures * AAC.1 {
            let record =
                self.frame(Track::Audio, (false, false), Bytes::from_static(&[0xaf, 1, 7]));
            self.sounds += 1;
            return record;
        }
        let keyframe = self.pictures % (2 * FPS) == 0;
        let tag: &[u8] = if keyframe { &[0x17, 1, 0, 0, 0, 9] } else { &[0x27, 1, 0, 0, 0, 9] };
        let record = self.frame(Track::Video, (keyframe, false), Bytes::copy_from_slice(tag));
        self.pictures += 1;
        record
    }
}

fn facts() -> Open {
    Open {
        broadcast: BroadcastId(Uuid::from_u128(7)),
        nonce: Uuid::from_u128(1),
        key_id: "abcd".parse().unwrap(),
        started_ms: 1_700_000_000_000,
        resumed: false,
    }
}

#[test]
fn a_day_grows_nothing_and_keeps_sound_beside_the_picture() {
    let sound = AacConfig::parse(&Bytes::from_static(SOUND)).unwrap();
    let silence = silent_frame(sound.channels()).unwrap();
    let mut outs = [
        Out::new("720p", 90_000, Bytes::from_static(b"an init segment")),
        Out::new("audio", 48_000, cmaf::audio_init(&sound)),
    ];
    let mut head = Head::new(info(), Run(1));
    let mut timeline = Timeline::new(SEGMENT);
    let mut source = Source { pictures: 0, sounds: 0, sequence: 0 };
    let mut offset = 0;
    let mut shown: Option<Ticks> = None;
    let mut take = |record: Record, outs: &mut [Out; 2]| {
        let mut events = Vec::new();
        timeline.push(offset, record, &mut events);
        offset += 1;
        let [video, audio] = outs;
        for event in events {
            match event {
                Event::Base(base) => {
                    for out in [&mut *video, &mut *audio] {
                        out.rendition.begin_run(RunContext { run: Run(1), base });
                        out.rendition.set_init(&out.init.clone());
                    }
                }
                // A picture stays until the next.
                Event::Video(frame) => {
                    if let Some(start) = shown.replace(frame.pts) {
                        let sync = start.0 % SEGMENT.0 == 0;
                        let (duration, data) = ((frame.pts - start).0, frame.payload);
                        let start = start.0;
                        let sample = Sample { start, composition: 0, duration, sync, data };
                        video.rendition.push(sample).unwrap();
                    }
                }
                Event::Audio(frame) => {
                    let (start, duration, data) = (frame.index * AAC.0, AAC.0, silence.clone());
                    let sample = Sample { start, composition: 0, duration, sync: true, data };
                    audio.rendition.push(sample).unwrap();
                }
                _ => {}
            }
        }
    };
    take(Record { epoch: Epoch(1), body: Body::Open(facts()) }, &mut outs);
    let config = source.frame(Track::Video, (false, true), Bytes::from_static(&[0x17, 0, 0, 0, 0]));
    take(config, &mut outs);
    let config = [&[0xaf, 0], SOUND].concat().into();
    take(source.frame(Track::Audio, (false, true), config), &mut outs);

    let (all, tenth) = (HOURS * 3_600 * FPS, HOURS * 360 * FPS);
    let (mut early, mut chunks) = (0, 0);
    while source.pictures < all {
        take(source.next(), &mut outs);
        if source.pictures % FPS == 0 {
            for out in &mut outs {
                out.publish(&mut head);
            }
            // As the archive does when it has written one.
            chunks += usize::from(head.cut_chunk().is_some());
        }
        if early == 0 && source.pictures > tenth {
            early = resident(Pid::this()).unwrap();
        }
    }
    let late = resident(Pid::this()).unwrap();
    let [video, audio] = &outs;
    let (picture, sound) = (video.end_ms(), audio.end_ms());
    println!(
        "{offset} records: pictures to {picture} ms, sound to {sound} ms, {} segments; \
         {} MB after a tenth, {} MB at the end",
        video.next.0,
        early >> 20,
        late >> 20,
    );
    let expected = all * 1_000 / FPS;
    assert!(picture <= expected && expected - picture <= APART_MS, "{picture} of {expected}");
    assert!((picture - sound).abs() <= APART_MS, "sound is {} ms off", sound - picture);
    let counters = timeline.counters();
    let lost = counters.before_keyframe + counters.stray + counters.late_audio;
    assert_eq!((lost, counters.silence), (0, 0), "{counters:?}");
    assert!(late <= early + GROWTH, "{early} bytes became {late}");
    assert_eq!(head.chunks.len(), chunks);
    assert!(chunks > 0, "the index was never cut");
    let snapshot = timeline.snapshot().unwrap().to_bytes();
    assert!(snapshot.len() < 1_024, "the snapshot has {} bytes", snapshot.len());
}

fn rendition(name: &str, kind: RenditionKind, timescale: u32) -> RenditionInfo {
    RenditionInfo {
        name: name.parse().unwrap(),
        kind,
        codecs: String::new(),
        timescale,
        bandwidth: 1,
        average_bandwidth: 1,
    }
}

fn info() -> BroadcastInfo {
    BroadcastInfo {
        stream: "events.keynote".parse().unwrap(),
        broadcast: facts().broadcast,
        started_ms: 0,
        segment_duration: SEGMENT,
        part_target: PART_TARGET,
        dvr_window: Ticks::from_ms(600_000),
        frame_rate: FrameRate { num: 30, den: 1 },
        renditions: vec![
            rendition("720p", RenditionKind::Video { width: 1_280, height: 720 }, 90_000),
            rendition("audio", RenditionKind::Audio { sample_rate: 48_000, channels: 2 }, 48_000),
        ],
        ended: false,
        access: Access::default(),
    }
}
