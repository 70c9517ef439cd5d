//! The multivariant playlist (RFC 8216bis §4.4.6).

use std::fmt::Write;

use crate::published::{BroadcastInfo, FrameRate, RenditionInfo, RenditionKind};

/// GROUP-ID of the one audio group.
const GROUP: &str = "audio";

/// The multivariant playlist of a broadcast, in the order of its renditions.
/// URIs are relative to `/hls/{stream}/`; with a `query` they have it, as
/// players take none along from one playlist to the next.
pub fn multivariant(broadcast: &BroadcastInfo, query: Option<&str>) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let audio = broadcast.renditions.iter().find_map(|r| match r.kind {
        RenditionKind::Audio { channels, .. } => Some((r, channels)),
        RenditionKind::Video { .. } => None,
    });
    if let Some((audio, channels)) = audio {
        // Writing to a String cannot fail; the results are let go throughout.
        _ = writeln!(
            out,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{GROUP}\",NAME=\"Audio\",DEFAULT=YES,\
             AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{}\"",
            uri(broadcast, audio, query),
        );
    }
    for rendition in &broadcast.renditions {
        if let RenditionKind::Video { width, height } = rendition.kind {
            variant(&mut out, rendition, audio.map(|(audio, _)| audio));
            _ = writeln!(out, ",RESOLUTION={width}x{height}{}", frame_rate(broadcast.frame_rate));
            _ = writeln!(out, "{}", uri(broadcast, rendition, query));
        }
    }
    out
}

/// What a variant needs of the line, video and audio together (§4.4.6.2).
fn variant(out: &mut String, video: &RenditionInfo, audio: Option<&RenditionInfo>) {
    let sum = |of: fn(&RenditionInfo) -> u64| of(video) + audio.map_or(0, of);
    _ = write!(
        out,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}",
        sum(|r| r.bandwidth),
        sum(|r| r.average_bandwidth),
        video.codecs,
    );
    match audio {
        Some(audio) => _ = write!(out, ",{}\",AUDIO=\"{GROUP}\"", audio.codecs),
        None => out.push('"'),
    }
}

fn uri(broadcast: &BroadcastInfo, rendition: &RenditionInfo, query: Option<&str>) -> String {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{}/media.m3u8{query}", broadcast.broadcast, rendition.name)
}

/// FRAME-RATE with three decimals, rounded; left out when it isn't known.
fn frame_rate(rate: FrameRate) -> String {
    let doubled = u64::from(rate.num) * 2_000 + u64::from(rate.den);
    match doubled.checked_div(u64::from(rate.den) * 2) {
        Some(thousandths) if thousandths > 0 => {
            format!(",FRAME-RATE={}.{:03}", thousandths / 1_000, thousandths % 1_000)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rates_have_three_decimals() {
        let text = |num, den| frame_rate(FrameRate { num, den });
        assert_eq!(text(30_000, 1_001), ",FRAME-RATE=29.970");
        assert_eq!(text(24_000, 1_001), ",FRAME-RATE=23.976");
        assert_eq!(text(60, 1), ",FRAME-RATE=60.000");
        assert_eq!(text(60, 0), "");
    }
}
