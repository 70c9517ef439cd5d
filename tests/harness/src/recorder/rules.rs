//! What a version of a playlist must be by itself, and what it may change of
//! the version before (RFC 8216bis §4.4 and §6.2).

use super::Origin;
use super::snapshot::{Segment, Snapshot};

/// Breaches within one version.
///
/// A length may be `rounds` microseconds from what it is.
pub(super) fn alone(list: &Snapshot, rounds: i64, broken: &mut Vec<String>) {
    let final_index = list.segments.len().saturating_sub(1);
    for (index, segment) in list.segments.iter().enumerate() {
        let msn = segment.msn;
        if segment.uri.is_none() && (index != final_index || list.ended) {
            broken.push(format!("segment {msn}: listed without a URI before the end"));
        }
        if (segment.micros + 500_000) / 1_000_000 > list.target {
            broken
                .push(format!("segment {msn}: {} µs is over the target duration", segment.micros));
        }
        parts(list, segment, rounds, broken);
    }
}

fn parts(list: &Snapshot, segment: &Segment, rounds: i64, broken: &mut Vec<String>) {
    let msn = segment.msn;
    for (index, part) in segment.parts.iter().enumerate() {
        if part.micros > list.part_target {
            broken.push(format!("part {msn}.{index}: {} µs is over PART-TARGET", part.micros));
        }
    }
    let sum: i64 = segment.parts.iter().map(|part| part.micros).sum();
    let count = i64::try_from(segment.parts.len()).unwrap_or(i64::MAX);
    let complete = segment.uri.is_some() && !segment.parts.is_empty();
    if complete && (sum - segment.micros).abs() > count * rounds {
        broken.push(format!("segment {msn}: parts are {sum} µs of {} µs", segment.micros));
    }
}

/// The length of the part before this one, if it is under 85 % of PART-TARGET. One may be at the
/// segment's end, and in front of a new run, whose first part is independent (§4.4.4.9).
pub(super) fn short_before(part_target: i64, segment: &Segment, index: usize) -> Option<i64> {
    let before = segment.parts.get(index.checked_sub(1)?)?;
    let exempt = before.independent || segment.parts.get(index)?.independent;
    (!exempt && before.micros * 100 < part_target * 85).then_some(before.micros)
}

/// Breaches in the step from one version to the next.
pub(super) fn step(before: &Snapshot, now: &Snapshot, origin: Origin, broken: &mut Vec<String>) {
    let mut unless = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    let went = format!("EXT-X-MEDIA-SEQUENCE went back from {} to {}", before.msn, now.msn);
    unless(now.msn >= before.msn, &went);
    unless(now.discontinuity >= before.discontinuity, "EXT-X-DISCONTINUITY-SEQUENCE went back");
    unless(now.target == before.target, "EXT-X-TARGETDURATION changed");
    unless(now.part_target == before.part_target, "PART-TARGET changed");
    unless(now.control == before.control, "EXT-X-SERVER-CONTROL changed");
    unless(now.ended >= before.ended, "EXT-X-ENDLIST went away");
    unless(now.end() >= before.end(), "the end of the list went back");
    unless(!before.ended || now.segments == before.segments, "the list changed after its end");
    let first_lost = before.end().map_or(0, |(msn, _)| msn + 1);
    unless(now.msn <= first_lost, "segments were removed before they were listed");
    for old in &before.segments {
        let index = old.msn.checked_sub(now.msn).and_then(|index| usize::try_from(index).ok());
        if let Some(new) = index.and_then(|index| now.segments.get(index)) {
            segment(old, new, origin, broken);
        }
    }
}

fn segment(old: &Segment, new: &Segment, origin: Origin, broken: &mut Vec<String>) {
    let standing = |s: &Segment| (s.discontinuity, s.map.clone());
    // Others tell the date once a segment is complete, or only for a while.
    let may_come = origin == Origin::Any && (old.date.is_none() || new.date.is_none());
    if standing(old) != standing(new) || (old.date != new.date && !may_come) {
        broken.push(format!("segment {}: its tags changed", old.msn));
    }
    if old.uri.is_some() && (&old.uri, old.micros) != (&new.uri, new.micros) {
        broken.push(format!("segment {}: its URI or duration changed", old.msn));
    }
    // Parts of a complete segment may go, all of them at once.
    let gone = new.parts.is_empty() && new.uri.is_some();
    if !gone && !new.parts.starts_with(&old.parts) {
        broken.push(format!("segment {}: its parts changed", old.msn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.645\n\
        #EXT-X-PART-INF:PART-TARGET=0.215\n#EXT-X-MEDIA-SEQUENCE:7\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-MAP:URI=\"init-a.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-02T12:00:00.000Z\n#EXTINF:2.0,\n7-1.m4s\n\
        #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-02T12:00:02.000Z\n\
        #EXT-X-PART:DURATION=0.2,URI=\"8.0-1.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.2,URI=\"8.1-1.m4s\"\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.2-1.m4s\"\n";

    fn parse(text: &str) -> anyhow::Result<Snapshot> {
        Snapshot::parse(text, Origin::Ours)
    }

    fn broken_by(from: &str, to: &str) -> Vec<String> {
        let (before, now) = (parse(LIST).unwrap(), LIST.replace(from, to));
        assert_ne!(now, LIST);
        let now = parse(&now).unwrap();
        let mut broken = Vec::new();
        alone(&now, 1, &mut broken);
        step(&before, &now, Origin::Ours, &mut broken);
        broken
    }

    #[test]
    fn a_list_may_grow_and_forget() {
        let more = "#EXT-X-PART:DURATION=0.1,URI=\"8.2-1.m4s\"\n#EXTINF:0.5,\n8-1.m4s\n";
        assert_eq!(broken_by("#EXT-X-PRELOAD", &format!("{more}#EXT-X-PRELOAD")), [""; 0]);
        let first = "#EXT-X-PROGRAM-DATE-TIME:2026-11-02T12:00:00.000Z\n#EXTINF:2.0,\n7-1.m4s\n\
            #EXT-X-DISCONTINUITY\n";
        let without = LIST.replace(first, "").replace("SEQUENCE:7", "SEQUENCE:8");
        let without = without.replace("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2");
        assert_eq!(broken_by(LIST, &without), [""; 0]);
    }

    #[test]
    fn every_breach_is_told() {
        for (from, to, what) in [
            ("SEQUENCE:7", "SEQUENCE:6", "went back"),
            ("SEQUENCE:7", "SEQUENCE:10", "removed before"),
            ("DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2", "tags changed"),
            ("#EXT-X-DISCONTINUITY\n", "", "tags changed"),
            ("7-1.m4s", "7-2.m4s", "URI or duration changed"),
            ("EXTINF:2.0", "EXTINF:2.5", "over the target"),
            ("8.0-1", "8.0-2", "parts changed"),
            ("0.2,URI=\"8.1", "0.3,URI=\"8.1", "over PART-TARGET"),
            ("#EXT-X-PART:DURATION=0.2,URI=\"8.1-1.m4s\"\n", "", "end of the list"),
            ("TARGETDURATION:2", "TARGETDURATION:3", "TARGETDURATION changed"),
            ("#EXT-X-PRELOAD", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD", "before the end"),
        ] {
            if to.contains("ENDLIST") {
                let text = LIST.replace(from, to);
                assert!(parse(&text).is_err());
                continue;
            }
            let broken = broken_by(from, to);
            assert!(broken.iter().any(|b| b.contains(what)), "{from} -> {to}: {broken:?}");
        }
    }

    #[test]
    fn an_unknown_tag_is_refused() {
        assert!(parse(&LIST.replace("-PART-INF", "-PART-OUTF")).is_err());
    }

    #[test]
    fn of_any_server_more_is_taken() {
        let other = LIST.replace("#EXT-X-VERSION:9", "#EXT-X-MOON:1\n# a comment");
        let other = other.replace("#EXT-X-MAP:URI=\"init-a.mp4\"\n", "");
        let other = other.replace("EXTINF:2.0,", "EXTINF:2.000000000, a title");
        let list = Snapshot::parse(&other, Origin::Any).unwrap();
        assert_eq!((list.segments.len(), list.segments[0].micros), (2, 2_000_000));
        assert_eq!(list.segments[0].map, "");
        assert!(parse(&other).is_err());
        let ranges = other.replace("URI=\"8.1-1.m4s\"", "URI=\"8.1-1.m4s\",BYTERANGE=\"10@0\"");
        assert!(Snapshot::parse(&ranges, Origin::Any).is_err());
    }
}
