//! What ffmpeg finds by way of a manifest is what is in the segments, frame by
//! frame: HLS names the same ones.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

mod ffmpeg;

use std::path::Path;

use bytes::Bytes;
use millrace_media::aac::AacConfig;
use millrace_media::avc::AvcConfig;
use millrace_media::cmaf::{Part, Sample, audio_init, video_init};
use millrace_media::dash::{self, TimedName};
use millrace_media::flv::{AudioPacket, AudioTag, FileReader, MAX_BODY, VideoPacket, VideoTag};
use millrace_media::hls::Window;
use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::published::{
    Access, BroadcastInfo, Entry, FrameRate, InitHash, MediaName, RenditionInfo, RenditionKind,
    SegmentInfo,
};
use millrace_media::record::Track;
use millrace_media::time::Ticks;

const SEGMENTS: u64 = 6;

/// One rendition as the packager makes it.
struct Media {
    info: RenditionInfo,
    init: Bytes,
    samples: Vec<Sample>,
}

/// Six seconds of pictures and a tone, a keyframe each second.
fn encoded() -> Vec<Media> {
    let arguments = "-v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=6 \
        -f lavfi -i sine=frequency=440:sample_rate=48000:duration=6 \
        -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac -ac 2 -f flv pipe:1";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let file = ffmpeg::run("ffmpeg", &arguments, &[]);
    let (mut avc, mut pictures, mut aac, mut sounds) = (None, Vec::new(), None, Vec::new());
    let sample = |duration, sync, data| Sample { duration, composition_offset: 0, sync, data };
    let mut reader = FileReader::new(MAX_BODY);
    reader.push(&file);
    while let Some(tag) = reader.pop().unwrap() {
        match tag.track {
            Track::Video => match VideoTag::parse(&tag.body).unwrap().packet {
                VideoPacket::Config(record) => avc = Some(AvcConfig::parse(&record).unwrap()),
                VideoPacket::Picture { data, .. } => {
                    let sync = avc.as_ref().unwrap().has_idr(&data);
                    pictures.push(sample(3_600, sync, data));
                }
                VideoPacket::End | VideoPacket::Command => {}
            },
            Track::Audio => match AudioTag::parse(&tag.body).unwrap().packet {
                AudioPacket::Config(bytes) => aac = Some(AacConfig::parse(&bytes).unwrap()),
                AudioPacket::Frame(data) => sounds.push(sample(1_024, true, data)),
            },
        }
    }
    let (avc, aac) = (avc.unwrap(), aac.unwrap());
    assert_eq!(pictures.len(), 150);
    let info = |name, kind, codecs: &str, timescale| RenditionInfo {
        name,
        kind,
        codecs: codecs.to_owned(),
        timescale,
        bandwidth: 500_000,
        average_bandwidth: 500_000,
    };
    let video = RenditionKind::Video { width: 320, height: 180 };
    let audio = RenditionKind::Audio { sample_rate: 48_000, channels: 2 };
    vec![
        Media {
            info: info("180p".parse().unwrap(), video, "avc1.42c00d", 90_000),
            init: video_init(&avc),
            samples: pictures,
        },
        Media {
            info: info(RenditionName::audio(), audio, "mp4a.40.2", 48_000),
            init: audio_init(&aac),
            samples: sounds,
        },
    ]
}

impl Media {
    /// The segments of a second, the fourth and later ones by another run.
    fn segments(&self, started_ms: i64) -> Vec<(SegmentInfo, Bytes)> {
        let rate = i64::from(self.info.timescale);
        let (mut rest, mut at) = (&self.samples[..], 0);
        let cut = |msn| {
            let step = i64::from(rest.first()?.duration);
            let line = i64::try_from(msn + 1_u64).unwrap() * rate;
            let count = usize::try_from((line - at + step - 1) / step).unwrap().min(rest.len());
            let (samples, behind) = rest.split_at(count);
            let (start, sequence) = (at, u32::try_from(msn).unwrap() + 1);
            rest = behind;
            at += step * i64::try_from(count).unwrap();
            let base_decode_time = u64::try_from(start).unwrap();
            let info = SegmentInfo {
                msn: Msn(msn),
                run: Run(if msn < 3 { 1 } else { 2 }),
                start,
                duration: at - start,
                bytes: 0,
                discontinuities: 0,
                date_ms: started_ms + start * 1_000 / rate,
                init: InitHash::of(&self.init),
                gap: false,
                base: Some(Ticks::ZERO),
            };
            Some((info, Part { sequence, base_decode_time, samples }.write()))
        };
        (0..SEGMENTS).map_while(cut).collect()
    }
}

fn broadcast(media: &[Media], started_ms: i64) -> BroadcastInfo {
    BroadcastInfo {
        stream: "events.keynote".parse().unwrap(),
        broadcast: "0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap(),
        started_ms,
        segment_duration: Ticks::from_ms(1_000),
        part_target: Ticks::from_ms(215),
        dvr_window: Ticks::from_ms(60_000),
        frame_rate: FrameRate { num: 25, den: 1 },
        renditions: media.iter().map(|m| m.info.clone()).collect(),
        ended: false,
        access: Access::default(),
    }
}

/// Hash of each packet that ffmpeg reads of a track.
fn packets(input: &str, map: &str, limit: &str) -> Vec<String> {
    let arguments =
        format!("-v error -i {input} -map {map} -c copy {limit} -f framehash -hash md5 pipe:1");
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let text = String::from_utf8(ffmpeg::run("ffmpeg", &arguments, &[])).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Writes a file below the folder; its folders are made.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn ffmpeg_reads_every_frame_by_the_manifest() {
    let media = encoded();
    let started_ms = 1_793_620_800_000;
    let broadcast = broadcast(&media, started_ms);
    let folder = tempfile::tempdir().unwrap();
    let mut windows = Vec::new();
    let mut whole = Vec::new();
    for track in &media {
        let name = &track.info.name;
        let at = format!("hls/{}/{}/{name}", broadcast.stream, broadcast.broadcast);
        let init = MediaName::Init(InitHash::of(&track.init));
        write(folder.path(), &format!("{at}/{init}"), &track.init);
        let mut window = Window::new(&broadcast, &track.info);
        let mut file = track.init.to_vec();
        for (info, bytes) in track.segments(started_ms) {
            let media = TimedName(info.start.try_into().unwrap());
            write(folder.path(), &format!("{at}/{media}"), &bytes);
            file.extend_from_slice(&bytes);
            assert!(window.apply(&Entry::Segment(info)));
        }
        whole.push(packets(&write(folder.path(), &format!("{name}.mp4"), &file), "0", ""));
        windows.push(window);
    }
    let manifest = |windows: &[Window]| {
        let listed: Vec<_> = broadcast.renditions.iter().zip(windows).collect();
        let text = dash::manifest(&broadcast, &listed).unwrap();
        write(folder.path(), "dash/events.keynote/manifest.mpd", text.as_bytes())
    };
    // Live, from where ffmpeg begins.
    let live = packets(&manifest(&windows), "0:v", "-frames:v 25");
    assert_eq!(live.len(), 25);
    let place = whole[0].iter().position(|packet| *packet == live[0]).unwrap();
    assert_eq!(live[..], whole[0][place..place + 25], "from picture {place}");
    // After the end, all of it.
    for window in &mut windows {
        assert!(window.apply(&Entry::End { msn: Msn(SEGMENTS) }));
    }
    let ended = manifest(&windows);
    assert_eq!(packets(&ended, "0:v", ""), whole[0]);
    assert_eq!(packets(&ended, "0:a", ""), whole[1]);
}
