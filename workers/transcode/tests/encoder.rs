//! One run of the real ffmpeg: every picture that goes in comes out once, at
//! its time, with keyframes on the timeline's grid.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use millrace_media::flv::{FileReader, VideoPacket, VideoTag};
use millrace_media::published::FrameRate;
use millrace_media::record::Track;
use millrace_media::time::Ticks;
use millrace_transcode::encoder::command::{RunArgs, RungArgs, X264};
use millrace_transcode::encoder::{Encoder, Stamps};

/// A source's configuration tag and its pictures: decode ms, presentation ms,
/// tag body.
struct Clip {
    config: Bytes,
    pictures: Vec<(i64, i64, Bytes)>,
}

/// Six seconds of H.264 with B-frames, a keyframe each second.
fn clip(fps: &str) -> Clip {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=640x360:rate={fps}"))
        .args(["-t", "6", "-c:v", "libx264", "-preset", "superfast", "-bf", "2", "-g", "25"])
        .args(["-f", "flv", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut reader = FileReader::new(1 << 20);
    reader.push(&output.stdout);
    let mut clip = Clip { config: Bytes::new(), pictures: Vec::new() };
    while let Some(tag) = reader.pop().unwrap() {
        assert_eq!(tag.track, Track::Video);
        match VideoTag::parse(&tag.body).unwrap().packet {
            VideoPacket::Config(_) => clip.config = tag.body,
            VideoPacket::Picture { composition_ms, .. } => {
                let dts = i64::from(tag.timestamp_ms);
                clip.pictures.push((dts, dts + i64::from(composition_ms), tag.body));
            }
            _ => {}
        }
    }
    clip
}

/// Runs the clip, laid on the timeline at `at_ms`, from the picture at or after
/// `from_ms`. Returns each rung's pictures: presentation ms and keyframe.
async fn run(clip: &Clip, at_ms: i64, from_ms: i64, splice_ms: i64) -> Vec<Vec<(i64, bool)>> {
    let shift = at_ms - clip.pictures[0].1;
    let ms = Ticks::from_ms;
    let stamps = Stamps::new(ms(clip.pictures[0].0 + shift));
    let args = |fds: &[i32]| RunArgs {
        x264: X264 { preset: "ultrafast".into(), tune: "zerolatency".into(), threads: 1 },
        segment: ms(2_000),
        from: ms(from_ms),
        from_fed_ms: stamps.fed_ms(ms(from_ms)),
        frame_rate: FrameRate { num: 25, den: 1 },
        rungs: [(640, 360, from_ms), (320, 180, splice_ms)]
            .iter()
            .zip(fds)
            .map(|((width, height, splice), fd)| RungArgs {
                width: *width,
                height: *height,
                bitrate_kbps: 500,
                splice: ms(*splice),
                fd: *fd,
            })
            .collect(),
    };
    let (mut encoder, outputs) =
        Encoder::start(Path::new("ffmpeg"), 2, clip.config.clone(), args).unwrap();
    let readers: Vec<_> = outputs
        .into_iter()
        .map(|mut output| {
            tokio::spawn(async move {
                let mut pictures = Vec::new();
                while let Some(tag) = output.next().await.unwrap() {
                    let parsed = VideoTag::parse(&tag.body).unwrap();
                    if let VideoPacket::Picture { composition_ms, .. } = parsed.packet {
                        let key = parsed.frame_type == millrace_media::flv::FrameType::Key;
                        let at = stamps.moment(tag.timestamp_ms.into()).as_ms();
                        pictures.push((at + i64::from(composition_ms), key));
                    }
                }
                pictures
            })
        })
        .collect();
    for (dts, _, body) in &clip.pictures {
        encoder.feed(stamps.fed_ms(ms(dts + shift)), body.clone()).await.unwrap();
    }
    encoder.finish().await.unwrap();
    let mut out = Vec::new();
    for reader in readers {
        out.push(reader.await.unwrap());
    }
    out
}

fn times(clip: &Clip, at_ms: i64) -> Vec<i64> {
    let shift = at_ms - clip.pictures[0].1;
    let mut times: Vec<_> = clip.pictures.iter().map(|(_, pts, _)| pts + shift).collect();
    times.sort_unstable();
    times
}

fn grid_keys(times: &[i64]) -> Vec<i64> {
    let starts = |n: usize| n == 0 || times[n] / 2_000 != times[n - 1] / 2_000;
    (0..times.len()).filter(|n| starts(*n)).map(|n| times[n]).collect()
}

#[tokio::test]
async fn every_picture_comes_out_once_at_its_time_with_keyframes_on_the_grid() {
    for fps in ["24000/1001", "25", "30000/1001", "60"] {
        for at in [0, 14_000] {
            let clip = clip(fps);
            let want = times(&clip, at);
            for rung in run(&clip, at, at, at).await {
                let got: Vec<_> = rung.iter().map(|(pts, _)| *pts).collect();
                assert_eq!(got, want, "{fps} at {at}");
                let keys: Vec<_> = rung.iter().filter(|(_, k)| *k).map(|(p, _)| *p).collect();
                assert_eq!(keys, grid_keys(&want), "{fps} at {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_run_that_goes_on_in_a_segment_encodes_from_there_with_an_idr_at_each_splice() {
    let clip = clip("25");
    let want = times(&clip, 10_000);
    let (from, splice) = (want[60], want[65]);
    let rungs = run(&clip, 10_000, from, splice).await;
    let after: Vec<_> = want.iter().copied().filter(|t| *t >= from).collect();
    let keys =
        |rung: &[(i64, bool)]| rung.iter().filter(|(_, k)| *k).map(|(p, _)| *p).collect::<Vec<_>>();
    let got: Vec<_> = rungs[0].iter().map(|(pts, _)| *pts).collect();
    assert_eq!(got, after);
    assert_eq!(keys(&rungs[0]), [from, 14_000]);
    assert_eq!(keys(&rungs[1]), [from, splice, 14_000]);
}

#[tokio::test]
async fn an_ffmpeg_that_is_not_there_is_named() {
    let missing = Path::new("/nonexistent/ffmpeg");
    let error = Encoder::start(missing, 0, Bytes::new(), |_| RunArgs {
        x264: X264 { preset: "ultrafast".into(), tune: "zerolatency".into(), threads: 1 },
        segment: Ticks::from_ms(2_000),
        from: Ticks::ZERO,
        from_fed_ms: 0,
        frame_rate: FrameRate { num: 25, den: 1 },
        rungs: Vec::new(),
    })
    .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ffmpeg"), "{error}");
    assert!(error.to_string().contains("FFMPEG_PATH"), "{error}");
}
