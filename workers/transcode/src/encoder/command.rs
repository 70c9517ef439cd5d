//! ffmpeg's arguments for one run. Pure.
//!
//! FLV with the source's pictures goes in on stdin, one FLV per rung comes out
//! on inherited pipes. `-copyts` keeps every stamp, so each picture that comes
//! out can be told from every other; the pictures before `from` are decoded and
//! not encoded.

use std::fmt::Write as _;
use std::os::fd::RawFd;

use millrace_media::published::FrameRate;
use millrace_media::time::Ticks;

/// How the pictures are encoded, from the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X264 {
    /// x264 preset.
    pub preset: String,
    /// x264 tune.
    pub tune: String,
    /// Encoder threads of each rung.
    pub threads: u32,
}

/// One rung of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungArgs {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Target bitrate, kbit/s.
    pub bitrate_kbps: u32,
    /// First picture wanted of this rung: encoded as an IDR. Not before
    /// [`RunArgs::from`].
    pub splice: Ticks,
    /// Where its FLV goes.
    pub fd: RawFd,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArgs {
    /// Encoder settings.
    pub x264: X264,
    /// Segment duration, which keyframes are forced by.
    pub segment: Ticks,
    /// The first picture encoded.
    pub from: Ticks,
    /// The stamp of `from` in the FLV that is fed.
    pub from_fed_ms: i64,
    /// Told to x264, so that every run writes the same parameter sets.
    pub frame_rate: FrameRate,
    /// The ladder.
    pub rungs: Vec<RungArgs>,
}

/// Peak over target bitrate, in percent: the VBV's maximum rate.
pub const PEAK_PERCENT: u32 = 107;

/// Frames between keyframes if none were forced: more than any segment has.
const MAX_GOP: u32 = 1_000;

/// The command line after the program's name.
pub fn arguments(run: &RunArgs) -> Vec<String> {
    let mut out: Vec<String> = "-hide_banner -nostats -loglevel warning -nostdin -copyts \
        -protocol_whitelist pipe -threads 1 -analyzeduration 1000000 -probesize 500000 \
        -f flv -i pipe:0"
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    out.extend(["-filter_complex".to_owned(), filter(run)]);
    for (n, rung) in run.rungs.iter().enumerate() {
        push_rung(&mut out, run, rung, n);
    }
    out
}

fn filter(run: &RunArgs) -> String {
    let half_ms_before = run.from_fed_ms.saturating_mul(2).saturating_sub(1);
    let mut graph = format!(
        "[0:v]settb=1/90000,select=gte(t*2000\\,{half_ms_before}),split={}",
        run.rungs.len()
    );
    for n in 0..run.rungs.len() {
        let _ = write!(graph, "[s{n}]");
    }
    for (n, RungArgs { width: w, height: h, .. }) in run.rungs.iter().enumerate() {
        let _ = write!(
            graph,
            ";[s{n}]scale={w}:{h}:force_original_aspect_ratio=decrease:flags=bilinear,\
             pad={w}:{h}:(ow-iw)/2:(oh-ih)/2,setsar=1,format=yuv420p[v{n}]"
        );
    }
    graph
}

fn push_rung(out: &mut Vec<String>, run: &RunArgs, rung: &RungArgs, n: usize) {
    let peak = rung.bitrate_kbps.saturating_mul(PEAK_PERCENT) / 100;
    let FrameRate { num, den } = run.frame_rate;
    let options = [
        ("-map", format!("[v{n}]")),
        ("-c:v", "libx264".to_owned()),
        ("-preset", run.x264.preset.clone()),
        ("-tune", run.x264.tune.clone()),
        ("-threads", run.x264.threads.to_string()),
        ("-b:v", format!("{}k", rung.bitrate_kbps)),
        ("-maxrate", format!("{peak}k")),
        ("-bufsize", format!("{}k", rung.bitrate_kbps)),
        ("-bf", "0".to_owned()),
        ("-g", MAX_GOP.to_string()),
        ("-sc_threshold", "0".to_owned()),
        ("-x264-params", format!("fps={num}/{den}")),
        ("-force_key_frames", force_keyframes(run, rung)),
        ("-fps_mode", "passthrough".to_owned()),
        ("-enc_time_base", "1:90000".to_owned()),
        ("-flvflags", "no_duration_filesize+no_metadata".to_owned()),
        ("-flush_packets", "1".to_owned()),
        ("-f", "flv".to_owned()),
    ];
    for (name, value) in options {
        out.extend([name.to_owned(), value]);
    }
    out.push(format!("pipe:{}", rung.fd));
}

/// A keyframe at the run's first picture, at each segment boundary of the
/// timeline, and at the rung's splice. ffmpeg's `t` counts from the first
/// picture encoded; half a millisecond keeps rounding on the right side.
fn force_keyframes(run: &RunArgs, rung: &RungArgs) -> String {
    let from = run.from.as_secs_f64() + 0.0005;
    let segment = run.segment.as_secs_f64();
    let grid =
        format!("gt(floor((t+{from:.4})/{segment}),floor((prev_forced_t+{from:.4})/{segment}))");
    let splice = (rung.splice - run.from).as_secs_f64() - 0.0005;
    if splice <= 0.0 {
        return format!("expr:if(isnan(prev_forced_t),1,{grid})");
    }
    format!(
        "expr:if(isnan(prev_forced_t),1,{grid}+gte(t,{splice:.4})*lt(prev_forced_t,{splice:.4}))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(from_ms: i64, splice_ms: i64) -> RunArgs {
        RunArgs {
            x264: X264 { preset: "ultrafast".into(), tune: "zerolatency".into(), threads: 1 },
            segment: Ticks::from_ms(2_000),
            from: Ticks::from_ms(from_ms),
            from_fed_ms: 1_400,
            frame_rate: FrameRate { num: 30, den: 1 },
            rungs: vec![RungArgs {
                width: 854,
                height: 480,
                bitrate_kbps: 1_500,
                splice: Ticks::from_ms(splice_ms),
                fd: 5,
            }],
        }
    }

    #[test]
    fn keyframes_are_forced_on_the_absolute_grid() {
        let args = arguments(&run(13_400, 13_400)).join(" ");
        assert!(
            args.contains("gt(floor((t+13.4005)/2),floor((prev_forced_t+13.4005)/2))"),
            "{args}"
        );
        assert!(!args.contains("gte(t,"), "{args}");
        assert!(args.contains("select=gte(t*2000\\,2799)"), "{args}");
        assert!(args.ends_with("-f flv pipe:5"), "{args}");
    }

    #[test]
    fn a_rung_that_is_ahead_gets_an_idr_at_its_own_splice() {
        let args = arguments(&run(13_400, 13_600)).join(" ");
        assert!(args.contains("+gte(t,0.1995)*lt(prev_forced_t,0.1995)"), "{args}");
    }
}
