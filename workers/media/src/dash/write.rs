//! The manifest's text (ISO/IEC 23009-1 §5.3 and Annex B: the order of elements
//! is the schema's).
//!
//! All values are numbers, ids and names that their types have proven harmless
//! in XML, except the codecs, which are escaped.

use std::fmt::{self, Write};

use super::name::TEMPLATE;
use super::period::{Period, Stretch};
use crate::hls::text::{Date, Seconds};
use crate::published::{Access, BroadcastInfo, FrameRate, MediaName, RenditionInfo, RenditionKind};
use crate::time::{TIMESCALE, Ticks};

/// Scheme and value of the channels' number (ISO/IEC 23091-3).
const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
/// The clock that `availabilityStartTime` goes by: ours, as ISO 8601.
const CLOCK: &str = "urn:mpeg:dash:utc:http-iso:2014";
const PROFILE: &str = "urn:mpeg:dash:profile:isoff-live:2011";
/// How often players look for what is new: between a segment's first part and
/// that they ask for it lies half of this on average.
const UPDATE: Ticks = Ticks::from_ms(500);
/// `@bandwidth` is what the encoder's buffer of a second is filled with.
const MIN_BUFFER: Ticks = Ticks::from_ms(1_000);
/// How much faster or slower a player may play to keep its distance, percent.
const PLAYBACK_RATE: &str = "min=\"0.96\" max=\"1.04\"";

/// The manifest with these periods, of which there is one at least, and
/// `@publishTime`. Writing to
/// a String cannot fail; results are let go throughout.
pub(super) fn mpd(
    broadcast: &BroadcastInfo,
    periods: &[Period<'_>],
    published_ms: i64,
    ended: bool,
) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    head(&mut out, broadcast, periods, published_ms, ended);
    for period in periods {
        write_period(&mut out, broadcast, period, ended);
    }
    if !ended {
        _ = writeln!(out, "<UTCTiming schemeIdUri=\"{CLOCK}\" value=\"time\"/>");
    }
    out.push_str("</MPD>\n");
    out
}

fn head(
    out: &mut String,
    broadcast: &BroadcastInfo,
    periods: &[Period<'_>],
    published_ms: i64,
    ended: bool,
) {
    let segment = broadcast.segment_duration;
    // For players that take no part of a segment before the rest.
    let delay = Ticks(segment.0.saturating_mul(3));
    // As near as a player can be that does: what it may not know of yet, and
    // three parts, as in HLS.
    let near = UPDATE + Ticks(broadcast.part_target.0.saturating_mul(3));
    _ = write!(
        out,
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"{PROFILE}\" type=\"{}\" \
         availabilityStartTime=\"{}\" publishTime=\"{}\" minBufferTime=\"{}\" \
         maxSegmentDuration=\"{}\"",
        if ended { "static" } else { "dynamic" },
        Date(broadcast.started_ms),
        Date(published_ms),
        Span(MIN_BUFFER),
        Span(segment + broadcast.part_target),
    );
    if ended {
        let end = periods.last().and_then(|period| period.end).unwrap_or_default();
        _ = writeln!(out, " mediaPresentationDuration=\"PT{}S\">", Seconds::micros(end));
        return;
    }
    _ = writeln!(
        out,
        " minimumUpdatePeriod=\"{}\" timeShiftBufferDepth=\"{}\" \
         suggestedPresentationDelay=\"{}\">",
        Span(UPDATE.min(segment)),
        Span(broadcast.dvr_window.max(delay)),
        Span(delay),
    );
    // Without one players ask again where they asked, with the token in it.
    if broadcast.access == Access::Public {
        _ = writeln!(out, "<Location>{}.mpd</Location>", broadcast.broadcast);
    }
    _ = writeln!(
        out,
        "<ServiceDescription id=\"0\">\n\
         <Latency target=\"{}\" min=\"{}\" max=\"{}\"/>\n\
         <PlaybackRate {PLAYBACK_RATE}/>\n\
         </ServiceDescription>",
        near.as_ms().saturating_mul(2),
        near.as_ms(),
        delay.as_ms().max(near.as_ms().saturating_mul(4)),
    );
}

fn write_period(out: &mut String, broadcast: &BroadcastInfo, period: &Period<'_>, ended: bool) {
    _ = write!(out, "<Period id=\"{}\" start=\"PT{}S\"", period.id, Seconds::micros(period.start));
    if let Some(end) = period.end {
        _ = write!(out, " duration=\"PT{}S\"", Seconds::micros(end - period.start));
    }
    out.push_str(">\n");
    for stretch in &period.stretches {
        adaptation_set(out, broadcast, stretch, ended);
    }
    out.push_str("</Period>\n");
}

fn adaptation_set(out: &mut String, broadcast: &BroadcastInfo, stretch: &Stretch<'_>, ended: bool) {
    let Some(first) = stretch.set.renditions.first() else { return };
    let aligned = "segmentAlignment=\"true\" startWithSAP=\"1\"";
    match first.kind {
        RenditionKind::Video { .. } => {
            let rate = frame_rate(broadcast.frame_rate);
            _ = writeln!(
                out,
                "<AdaptationSet id=\"1\" contentType=\"video\" mimeType=\"video/mp4\" \
                 {aligned}{rate}>",
            );
        }
        RenditionKind::Audio { sample_rate, channels } => {
            _ = writeln!(
                out,
                "<AdaptationSet id=\"2\" contentType=\"audio\" mimeType=\"audio/mp4\" \
                 {aligned} audioSamplingRate=\"{sample_rate}\">\n\
                 <AudioChannelConfiguration schemeIdUri=\"{CHANNELS}\" value=\"{channels}\"/>",
            );
        }
    }
    out.push_str("<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/>\n");
    // A segment can be had when its first part can.
    let early = broadcast.segment_duration - broadcast.part_target;
    timeline(out, stretch, Some(early).filter(|early| !ended && early.0 > 0));
    for (index, rendition) in stretch.set.renditions.iter().enumerate() {
        representation(out, broadcast, rendition, index, stretch);
    }
    out.push_str("</AdaptationSet>\n");
}

/// The names and times of all renditions' segments; `early`: how much earlier
/// than at its end each can be had.
fn timeline(out: &mut String, stretch: &Stretch<'_>, early: Option<Ticks>) {
    let Stretch { set, slots, offset } = stretch;
    _ = write!(
        out,
        "<SegmentTemplate timescale=\"{}\" presentationTimeOffset=\"{offset}\" \
         media=\"{TEMPLATE}\"",
        set.timescale,
    );
    if let Some(early) = early {
        let early = Seconds::micros(micros(early));
        _ = write!(out, " availabilityTimeOffset=\"{early}\" availabilityTimeComplete=\"false\"");
    }
    out.push_str(">\n<SegmentTimeline>\n");
    // Decode times of a source with B-frames begin before zero.
    let mut times = slots.iter().map(|slot| (slot.lead.start.max(0), slot.end())).peekable();
    while let Some((start, end)) = times.next() {
        let duration = end.saturating_sub(start);
        let (mut repeats, mut until) = (0, end);
        let same = |next: &(i64, i64), until| *next == (until, until + duration);
        while let Some((_, end)) = times.next_if(|next| same(next, until)) {
            (repeats, until) = (repeats + 1, end);
        }
        _ = write!(out, "<S t=\"{start}\" d=\"{duration}\"");
        _ = if repeats > 0 { writeln!(out, " r=\"{repeats}\"/>") } else { writeln!(out, "/>") };
    }
    out.push_str("</SegmentTimeline>\n</SegmentTemplate>\n");
}

fn representation(
    out: &mut String,
    broadcast: &BroadcastInfo,
    rendition: &RenditionInfo,
    index: usize,
    stretch: &Stretch<'_>,
) {
    let name = &rendition.name;
    _ = write!(
        out,
        "<Representation id=\"{name}\" codecs=\"{}\" bandwidth=\"{}\"",
        Escaped(&rendition.codecs),
        rendition.bandwidth.max(1),
    );
    if let RenditionKind::Video { width, height } = rendition.kind {
        _ = write!(out, " width=\"{width}\" height=\"{height}\" sar=\"1:1\"");
    }
    // In one piece: ffmpeg passes over a Period's.
    let (stream, id) = (&broadcast.stream, broadcast.broadcast);
    _ = writeln!(out, ">\n<BaseURL>../../hls/{stream}/{id}/{name}/</BaseURL>");
    let first = stretch.slots.first().and_then(|slot| slot.all.get(index));
    if let Some(segment) = first {
        let init = MediaName::Init(segment.init.clone());
        _ = writeln!(out, "<SegmentTemplate initialization=\"{init}\"/>");
    }
    out.push_str("</Representation>\n");
}

/// `@frameRate`; left out when it isn't known.
fn frame_rate(FrameRate { num, den }: FrameRate) -> String {
    match (num, den) {
        (0, _) | (_, 0) => String::new(),
        (num, 1) => format!(" frameRate=\"{num}\""),
        (num, den) => format!(" frameRate=\"{num}/{den}\""),
    }
}

/// A duration as `xs:duration`.
struct Span(Ticks);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PT{}S", Seconds::micros(micros(self.0)))
    }
}

fn micros(Ticks(ticks): Ticks) -> i64 {
    let micros = i128::from(ticks) * 1_000_000 / i128::from(TIMESCALE);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Text in an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '"' => f.write_str("&quot;"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_xml_is_escaped() {
        assert_eq!(Escaped("a\"b<c&d").to_string(), "a&quot;b&lt;c&amp;d");
    }

    #[test]
    fn frame_rates_are_whole_numbers_or_fractions() {
        assert_eq!(frame_rate(FrameRate { num: 25, den: 1 }), " frameRate=\"25\"");
        assert_eq!(frame_rate(FrameRate { num: 30_000, den: 1_001 }), " frameRate=\"30000/1001\"");
        assert_eq!(frame_rate(FrameRate { num: 25, den: 0 }), "");
    }
}
