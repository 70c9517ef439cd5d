//! What a broadcast is encoded to, decided once from its first pictures. Pure.
//!
//! The decision stands for the broadcast's life: a later source of another size
//! is scaled into the rungs that were chosen here.

use millrace_media::aac::AacConfig;
use millrace_media::avc::AvcConfig;
use millrace_media::id::RenditionName;
use millrace_media::ladder::{Rung, rungs_for};
use millrace_media::published::{FrameRate, RenditionInfo, RenditionKind};
use millrace_media::time::{TIMESCALE, Ticks};

use crate::encoder::command::PEAK_PERCENT;

/// One video rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungFormat {
    /// Its name.
    pub name: RenditionName,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Target bitrate, kbit/s.
    pub bitrate_kbps: u32,
}

/// A broadcast's renditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The source's.
    pub frame_rate: FrameRate,
    /// Lowest first.
    pub rungs: Vec<RungFormat>,
    /// The sound, packaged as it comes.
    pub audio: Option<AacConfig>,
}

/// The rung's name when the source is passed through.
pub const PASSTHROUGH: &str = "source";

/// Rates that cameras and encoders use; what is measured is one of them when it
/// is within 2 %.
const USUAL_RATES: [(u32, u32); 9] =
    [(15, 1), (20, 1), (24, 1), (25, 1), (30, 1), (48, 1), (50, 1), (60, 1), (120, 1)];

/// Decides on the renditions. `times` are presentation times of the first
/// pictures, sorted.
pub fn decide(
    ladder: &[Rung],
    source: &AvcConfig,
    audio: Option<AacConfig>,
    times: &[Ticks],
) -> Format {
    let (width, height) = (source.width().max(2), source.height().max(2));
    let rungs = rungs_for(ladder, height)
        .into_iter()
        .map(|rung| RungFormat {
            width: even(u64::from(rung.height) * u64::from(width) / u64::from(height)),
            height: even(rung.height.into()),
            bitrate_kbps: rung.bitrate_kbps,
            name: rung.name,
        })
        .collect();
    Format { frame_rate: frame_rate(source, times), rungs, audio }
}

/// The renditions of a source that is passed through.
pub fn passthrough(source: &AvcConfig, audio: Option<AacConfig>, times: &[Ticks]) -> Format {
    let rung = PASSTHROUGH.parse().ok().map(|name| RungFormat {
        name,
        width: source.width(),
        height: source.height(),
        // The source's bitrate is not known: an upper bound of what is usual.
        bitrate_kbps: 8_000,
    });
    Format { frame_rate: frame_rate(source, times), rungs: rung.into_iter().collect(), audio }
}

/// The rung of a rendition that stands, with its bitrate from the ladder; `None`
/// for sound.
pub fn standing(rendition: &RenditionInfo, ladder: &[Rung]) -> Option<RungFormat> {
    let RenditionKind::Video { width, height } = rendition.kind else { return None };
    let named = ladder.iter().find(|rung| rung.name == rendition.name).map(|r| r.bitrate_kbps);
    let average = u32::try_from(rendition.average_bandwidth / 1_000).unwrap_or(u32::MAX);
    Some(RungFormat {
        name: rendition.name.clone(),
        width,
        height,
        bitrate_kbps: named.unwrap_or(average),
    })
}

fn even(pixels: u64) -> u32 {
    u32::try_from(pixels.div_ceil(2) * 2).unwrap_or(2).max(2)
}

fn frame_rate(source: &AvcConfig, times: &[Ticks]) -> FrameRate {
    source.frame_rate().or_else(|| measure(times)).unwrap_or(FrameRate { num: 30, den: 1 })
}

/// The usual rate nearest to what the times say, or the rate itself.
fn measure(times: &[Ticks]) -> Option<FrameRate> {
    let span = times.last()?.0.checked_sub(times.first()?.0).filter(|s| *s > 0)?;
    let count = i64::try_from(times.len()).ok()?.checked_sub(1).filter(|c| *c > 0)?;
    let millihertz =
        u32::try_from(count.checked_mul(TIMESCALE * 1_000)?.checked_div(span)?).ok()?;
    let near = USUAL_RATES.iter().find(|(num, den)| {
        let usual = num * 1_000 / den;
        millihertz.abs_diff(usual) * 50 <= usual
    });
    Some(match near {
        Some((num, den)) => FrameRate { num: *num, den: *den },
        None => FrameRate { num: millihertz.clamp(1_000, 240_000), den: 1_000 },
    })
}

/// How the rung stands in the playlist, with the codecs its encoder reports.
///
/// The peak is what the VBV lets one segment have: its rate and, once, its
/// buffer (of a second), plus the container.
pub fn video_rendition(rung: &RungFormat, codecs: String, segment: Ticks) -> RenditionInfo {
    let target = u64::from(rung.bitrate_kbps) * 1_000;
    let segment_ms = u64::try_from(segment.as_ms()).unwrap_or(0).max(1);
    let peak = target * u64::from(PEAK_PERCENT) / 100 + target * 1_000 / segment_ms;
    RenditionInfo {
        name: rung.name.clone(),
        kind: RenditionKind::Video { width: rung.width, height: rung.height },
        codecs,
        timescale: 90_000,
        bandwidth: peak + 40_000,
        average_bandwidth: target + 20_000,
    }
}

/// How the sound stands in the playlist.
pub fn audio_rendition(audio: &AacConfig) -> RenditionInfo {
    // The bitrate is the publisher's affair; AAC-LC stereo seldom exceeds these.
    let per_channel = 96_000;
    let channels = audio.channels();
    RenditionInfo {
        name: RenditionName::audio(),
        kind: RenditionKind::Audio { sample_rate: audio.sample_rate(), channels },
        codecs: audio.codecs(),
        timescale: audio.sample_rate(),
        bandwidth: per_channel * u64::from(channels.max(1)) + 40_000,
        average_bandwidth: per_channel * u64::from(channels.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_rate_snaps_to_the_usual_one() {
        let times = |fps: i64| (0..16).map(|n| Ticks::from_ms(n * 1_000 / fps)).collect::<Vec<_>>();
        for fps in [15, 24, 25, 30, 50, 60] {
            let num = u32::try_from(fps).unwrap();
            assert_eq!(measure(&times(fps)), Some(FrameRate { num, den: 1 }));
        }
        assert_eq!(measure(&times(10)), Some(FrameRate { num: 10_000, den: 1_000 }));
        assert_eq!(measure(&[]), None);
    }

    #[test]
    fn the_peak_covers_what_the_vbv_lets_a_segment_have() {
        let rung = RungFormat {
            name: "720p".parse().unwrap(),
            width: 1_280,
            height: 720,
            bitrate_kbps: 3_000,
        };
        let info = video_rendition(&rung, "avc1.42c01f".into(), Ticks::from_ms(2_000));
        assert!(info.bandwidth >= 3_210_000 + 1_500_000);
    }
}
