//! What ffmpeg publishes as FLV comes out of CMAF as it went in: every packet
//! with its times, and every picture and sound.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

mod ffmpeg;

use bytes::Bytes;
use millrace_media::aac::AacConfig;
use millrace_media::avc::AvcConfig;
use millrace_media::cmaf::{Part, Sample, audio_init, video_init};
use millrace_media::flv::{AudioPacket, AudioTag, FileReader, MAX_BODY, VideoPacket, VideoTag};
use millrace_media::record::Track;

/// One second and a half of pictures with B-frames and a tone, 30 fps, a
/// keyframe each half second.
fn published() -> Vec<u8> {
    let arguments = "-v error -f lavfi -i testsrc2=size=320x180:rate=30:duration=1.5 \
        -f lavfi -i sine=frequency=440:sample_rate=44100:duration=1.5 \
        -c:v libx264 -preset veryfast -bf 2 -g 15 -c:a aac -ac 2 -f flv pipe:1";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    ffmpeg::run("ffmpeg", &arguments, &[])
}

/// What one tag says, in ms.
struct Unit {
    dts: u32,
    composition: i32,
    sync: bool,
    data: Bytes,
}

/// The access units of each track and the configurations.
fn demux(file: &[u8]) -> (AvcConfig, Vec<Unit>, AacConfig, Vec<Unit>) {
    let mut reader = FileReader::new(MAX_BODY);
    let (mut avc, mut video, mut aac, mut audio) = (None, Vec::new(), None, Vec::new());
    for piece in file.chunks(4_096) {
        reader.push(piece);
        while let Some(tag) = reader.pop().unwrap() {
            let dts = tag.timestamp_ms;
            match tag.track {
                Track::Video => match VideoTag::parse(&tag.body).unwrap().packet {
                    VideoPacket::Config(record) => avc = Some(AvcConfig::parse(&record).unwrap()),
                    VideoPacket::Picture { composition_ms, data } => {
                        let sync = avc.as_ref().unwrap().has_idr(&data);
                        video.push(Unit { dts, composition: composition_ms, sync, data });
                    }
                    VideoPacket::End | VideoPacket::Command => {}
                },
                Track::Audio => match AudioTag::parse(&tag.body).unwrap().packet {
                    AudioPacket::Config(bytes) => aac = Some(AacConfig::parse(&bytes).unwrap()),
                    AudioPacket::Frame(data) => {
                        audio.push(Unit { dts, composition: 0, sync: true, data });
                    }
                },
            }
        }
    }
    assert_eq!(reader.pending(), 0);
    (avc.unwrap(), video, aac.unwrap(), audio)
}

/// Parts of `per_part` samples behind an init segment.
fn file(init: &Bytes, base: u64, samples: &[Sample], per_part: usize) -> Vec<u8> {
    let mut out = init.to_vec();
    let mut base_decode_time = base;
    for (sequence, samples) in (1..).zip(samples.chunks(per_part)) {
        out.extend_from_slice(&Part { sequence, base_decode_time, samples }.write());
        base_decode_time += samples.iter().map(|s| u64::from(s.duration)).sum::<u64>();
    }
    out
}

/// `pts|dts|size|flags` of each packet. Not its duration: ffprobe guesses that
/// from the parameter set.
fn packets(file: &[u8]) -> Vec<String> {
    let arguments = "-v warning -f mp4 -show_entries packet=pts,dts,size,flags \
        -of compact=p=0:nk=1 pipe:0";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let text = String::from_utf8(ffmpeg::run("ffprobe", &arguments, file)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Hash of each decoded picture or block of sound.
fn hashes(format: &str, map: &str, file: &[u8]) -> Vec<String> {
    let arguments = format!(
        "-v warning -copyts -f {format} -i pipe:0 -map {map} -fps_mode passthrough -f framehash pipe:1"
    );
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let text = String::from_utf8(ffmpeg::run("ffmpeg", &arguments, file)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn expected(base: u64, samples: &[Sample]) -> Vec<String> {
    let mut dts = i64::try_from(base).unwrap();
    let line = |sample: &Sample| {
        let flags = if sample.sync { "K_" } else { "__" };
        let pts = dts + i64::from(sample.composition_offset);
        let line = format!("{pts}|{dts}|{}|{flags}", sample.data.len());
        dts += i64::from(sample.duration);
        line
    };
    samples.iter().map(line).collect()
}

#[test]
fn video_and_audio_survive_packaging() {
    let published = published();
    let (avc, video, aac, audio) = demux(&published);
    assert_eq!((video.len(), avc.width(), avc.height()), (45, 320, 180));

    let end = video.last().unwrap().dts + 33;
    let ends = video.iter().skip(1).map(|u| u.dts).chain([end]);
    let samples: Vec<_> = video
        .iter()
        .zip(ends)
        .map(|(unit, end)| Sample {
            duration: (end - unit.dts) * 90,
            composition_offset: unit.composition * 90,
            sync: unit.sync,
            data: unit.data.clone(),
        })
        .collect();
    assert_eq!(samples.iter().filter(|s| s.sync).count(), 3);
    // Beyond 32 bits of ticks, thirteen hours into a broadcast.
    let base = 5_000_000_000;
    let cmaf = file(&video_init(&avc), base, &samples, 6);
    assert_eq!(packets(&cmaf), expected(base, &samples));
    assert_eq!(hashes("mp4", "0:v", &cmaf), hashes("flv", "0:v", &published));

    let samples: Vec<_> = audio
        .iter()
        .map(|unit| Sample {
            duration: AacConfig::FRAME_SAMPLES,
            composition_offset: 0,
            sync: true,
            data: unit.data.clone(),
        })
        .collect();
    let cmaf = file(&audio_init(&aac), 44_100, &samples, 9);
    assert_eq!(packets(&cmaf), expected(44_100, &samples));
    assert_eq!(hashes("mp4", "0:a", &cmaf), hashes("flv", "0:a", &published));
}

#[test]
fn init_segments_say_what_they_hold() {
    let (avc, _, aac, _) = demux(&published());
    let arguments = "-v error -f mp4 -show_entries \
        stream=codec_name,codec_tag_string,width,height,sample_rate,channels,time_base \
        -of compact=p=0:nk=1 pipe:0";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let streams = |init: Bytes| {
        String::from_utf8(ffmpeg::run("ffprobe", &arguments, &init)).unwrap().trim().to_owned()
    };
    assert_eq!(streams(video_init(&avc)), "h264|avc1|320|180|1/90000");
    assert_eq!(streams(audio_init(&aac)), "aac|mp4a|44100|2|1/44100");
    assert_eq!(video_init(&avc), video_init(&avc));
}
