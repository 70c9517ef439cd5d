//! A broadcast packaged as the transcoder would: eight seconds of counted
//! pictures and a tone, one video rung and the audio group.

use bytes::Bytes;
use millrace_harness::counter;
use millrace_media::aac::AacConfig;
use millrace_media::avc::AvcConfig;
use millrace_media::cmaf::{Part, Sample, audio_init, video_init};
use millrace_media::flv::{AudioPacket, AudioTag, FileReader, MAX_BODY, VideoPacket, VideoTag};
use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::published::{
    Access, BroadcastInfo, Entry, FrameRate, InitHash, MediaName, PartInfo, RenditionInfo,
    RenditionKind, SegmentInfo,
};
use millrace_media::record::Track;
use millrace_media::time::Ticks;
use tokio::process::Command;

/// Number of the first picture.
pub(crate) const FIRST: u32 = 1_000;
/// Pictures published.
pub(crate) const PICTURES: u32 = 240;

/// One rendition: its init segment, and its entries with their bytes in order.
pub(crate) struct Packaged {
    pub(crate) info: RenditionInfo,
    pub(crate) init: Bytes,
    pub(crate) entries: Vec<(Entry, Bytes)>,
}

/// Decode time in ms, and the access unit.
type Unit = (u32, Sample);

async fn published() -> Vec<u8> {
    let graph = counter::source(640, 360, 30, FIRST).unwrap();
    let arguments = "-t 8 -c:v libx264 -preset ultrafast -b:v 1000k -g 60 -c:a aac -ac 2 \
        -f flv pipe:1";
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &graph])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-pix_fmt", "yuv420p"])
        .args(arguments.split_whitespace())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn sample(duration: u32, composition_offset: i32, sync: bool, data: Bytes) -> Sample {
    Sample { duration, composition_offset, sync, data }
}

/// The two renditions of a broadcast.
pub(crate) async fn broadcast() -> (BroadcastInfo, Vec<Packaged>) {
    let mut reader = FileReader::new(MAX_BODY);
    reader.push(&published().await);
    let (mut avc, mut aac) = (None, None);
    let (mut video, mut audio): (Vec<Unit>, Vec<Unit>) = Default::default();
    while let Some(tag) = reader.pop().unwrap() {
        match tag.track {
            Track::Video => match VideoTag::parse(&tag.body).unwrap().packet {
                VideoPacket::Config(record) => avc = Some(AvcConfig::parse(&record).unwrap()),
                VideoPacket::Picture { composition_ms, data } => {
                    let sync = avc.as_ref().unwrap().has_idr(&data);
                    video.push((tag.timestamp_ms, sample(0, composition_ms * 90, sync, data)));
                }
                _ => {}
            },
            Track::Audio => match AudioTag::parse(&tag.body).unwrap().packet {
                AudioPacket::Config(bytes) => aac = Some(AacConfig::parse(&bytes).unwrap()),
                AudioPacket::Frame(data) => {
                    audio.push((tag.timestamp_ms, sample(1_024, 0, true, data)));
                }
            },
        }
    }
    // Video does not start at 0: the AAC encoder puts a frame in front of the sound.
    let starts: Vec<_> =
        video.iter().skip(1).map(|unit| unit.0).chain([video[0].0 + 8_000]).collect();
    for (unit, next) in video.iter_mut().zip(starts) {
        unit.1.duration = (next - unit.0) * 90;
    }
    let (avc, aac) = (avc.unwrap(), aac.unwrap());
    let video_kind = RenditionKind::Video { width: avc.width(), height: avc.height() };
    let rung = "360p".parse().unwrap();
    let video_info = rendition(rung, video_kind, &avc.codecs(), 90_000);
    let audio_kind = RenditionKind::Audio { sample_rate: 48_000, channels: 2 };
    let audio_info = rendition(RenditionName::audio(), audio_kind, &aac.codecs(), 48_000);
    let info = BroadcastInfo {
        stream: "tests.recorded".parse().unwrap(),
        broadcast: "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap(),
        started_ms: 1_793_620_800_000,
        segment_duration: Ticks(180_000),
        part_target: Ticks(19_350),
        dvr_window: Ticks(120 * 90_000),
        frame_rate: FrameRate { num: 30, den: 1 },
        renditions: vec![video_info.clone(), audio_info.clone()],
        ended: false,
        access: Access::default(),
    };
    let units = |units: Vec<Unit>| units.into_iter().map(|unit| unit.1).collect::<Vec<_>>();
    let packaged = vec![
        package(video_info, video_init(&avc), &units(video), 6),
        package(audio_info, audio_init(&aac), &units(audio), 10),
    ];
    (info, packaged)
}

fn rendition(
    name: RenditionName,
    kind: RenditionKind,
    codecs: &str,
    timescale: u32,
) -> RenditionInfo {
    let (codecs, bandwidth) = (codecs.to_owned(), 1_100_000);
    RenditionInfo { name, kind, codecs, timescale, bandwidth, average_bandwidth: bandwidth }
}

/// Segments on the two second grid, parts of `per_part` samples.
fn package(info: RenditionInfo, init: Bytes, samples: &[Sample], per_part: usize) -> Packaged {
    let hash = InitHash::of(&init);
    let line = i64::from(info.timescale) * 2;
    let mut entries = Vec::new();
    let (mut at, mut rest, mut sequence) = (0, samples, 0);
    while !rest.is_empty() {
        let (msn, start) = (Msn(u64::try_from(at / line).unwrap()), at);
        let (mut end, mut count) = (at, 0);
        while end / line == start / line && count < rest.len() {
            end += i64::from(rest[count].duration);
            count += 1;
        }
        let (segment, behind) = rest.split_at(count);
        rest = behind;
        let mut bytes = Vec::new();
        for (part, samples) in (0..).zip(segment.chunks(per_part)) {
            sequence += 1;
            let base_decode_time = u64::try_from(at).unwrap();
            let media = Part { sequence, base_decode_time, samples }.write();
            bytes.extend_from_slice(&media);
            let duration = samples.iter().map(|s| i64::from(s.duration)).sum();
            let info = PartInfo {
                msn,
                part,
                run: Run(1),
                start: at,
                duration,
                bytes: u64::try_from(media.len()).unwrap(),
                independent: samples[0].sync,
                discontinuities: 0,
                date_ms: 1_793_620_800_000 + at * 1_000 / i64::from(info.timescale),
                init: hash.clone(),
                base: None,
            };
            entries.push((Entry::Part(info), media));
            at += duration;
        }
        let segment = SegmentInfo {
            msn,
            run: Run(1),
            start,
            duration: at - start,
            bytes: u64::try_from(bytes.len()).unwrap(),
            discontinuities: 0,
            date_ms: 1_793_620_800_000 + start * 1_000 / i64::from(info.timescale),
            init: hash.clone(),
            gap: false,
            base: None,
        };
        entries.push((Entry::Segment(segment), bytes.into()));
    }
    let end = Msn(u64::try_from(at / line + i64::from(at % line != 0)).unwrap());
    entries.push((Entry::End { msn: end }, Bytes::new()));
    Packaged { info, init, entries }
}

/// The name of an entry's media.
pub(crate) fn name(entry: &Entry) -> Option<String> {
    let name = match entry {
        Entry::Part(p) => MediaName::Part { msn: p.msn, part: p.part, run: p.run },
        Entry::Segment(s) => MediaName::Segment { msn: s.msn, run: s.run },
        Entry::End { .. } => return None,
    };
    Some(name.to_string())
}
