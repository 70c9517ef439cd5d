//! The segment that grows, as it will be when it is whole.

use super::Listed;
use crate::id::Msn;
use crate::published::{BroadcastInfo, RenditionInfo, RenditionKind, SegmentInfo};
use crate::time::{TIMESCALE, Ticks};

/// Samples of an AAC-LC frame.
const AAC_FRAME: u32 = 1_024;

/// Of a rendition; none while no part of one is published, or from an older
/// writer, which does not say where its stretch begins.
///
/// Its duration is foretold, by the first part alone so that it stays: it ends
/// with the frame that reaches the next segment. One that is cut short is
/// shorter; the manifest says so when it is whole.
pub(super) fn segment(
    broadcast: &BroadcastInfo,
    &(rendition, window): &Listed<'_>,
) -> Option<SegmentInfo> {
    let first = window.open().first().filter(|part| part.base.is_some())?;
    let line = line(broadcast, rendition, first.msn.next());
    let most = Ticks::from_units(1, 1).0.min(broadcast.part_target.0);
    let most = most.saturating_mul(rendition.timescale.into()) / TIMESCALE;
    let duration = until(first.start, line, frame(broadcast, rendition));
    Some(SegmentInfo {
        msn: first.msn,
        run: first.run,
        start: first.start,
        duration: duration.clamp(1, line.saturating_add(most).saturating_sub(first.start).max(1)),
        bytes: 0,
        discontinuities: first.discontinuities,
        date_ms: first.date_ms,
        init: first.init.clone(),
        gap: false,
        base: first.base,
    })
}

/// Where a segment begins at the earliest, in the rendition's timescale.
fn line(broadcast: &BroadcastInfo, rendition: &RenditionInfo, msn: Msn) -> i64 {
    let ticks = i128::from(broadcast.segment_duration.0) * i128::from(msn.0);
    let units = ticks * i128::from(rendition.timescale) / i128::from(TIMESCALE);
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// How long a frame lasts: numerator and denominator, in the rendition's
/// timescale. None when it isn't known.
fn frame(broadcast: &BroadcastInfo, rendition: &RenditionInfo) -> Option<(i128, i128)> {
    let rate = broadcast.frame_rate;
    match rendition.kind {
        RenditionKind::Audio { .. } => Some((AAC_FRAME.into(), 1)),
        RenditionKind::Video { .. } => (rate.num > 0 && rate.den > 0)
            .then(|| (i128::from(rendition.timescale) * i128::from(rate.den), rate.num.into())),
    }
}

/// From `start` in whole frames up to `line`, or past it.
fn until(start: i64, line: i64, frame: Option<(i128, i128)>) -> i64 {
    let distance = i128::from(line) - i128::from(start);
    let whole = frame.map_or(distance, |(num, den)| {
        let frames = (distance * den + num - 1).div_euclid(num);
        (frames * num + den / 2).div_euclid(den)
    });
    i64::try_from(whole).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_foretold_to_end_with_the_frame_that_reaches_the_line() {
        assert_eq!(until(0, 180_000, Some((90_000, 25))), 180_000);
        assert_eq!(until(180_180, 360_000, Some((90_000 * 1_001, 30_000))), 180_180);
        assert_eq!(until(96_256, 192_000, Some((1_024, 1))), 96_256);
        assert_eq!(until(100, 180_000, None), 179_900);
    }
}
