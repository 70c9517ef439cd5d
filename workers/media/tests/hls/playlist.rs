//! A strict reader of media playlists: it knows every tag we write and refuses
//! any other, and any order that RFC 8216bis doesn't allow.

use std::collections::BTreeMap;

/// Seconds as whole microseconds.
pub(crate) fn micros(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap();
    assert!(fraction.len() <= 6, "{text}");
    whole.parse::<i64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().unwrap()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) uri: String,
    pub(crate) micros: i64,
}

/// One segment with the tags that apply to it. `uri` is empty while it grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) msn: u64,
    pub(crate) uri: String,
    pub(crate) micros: i64,
    pub(crate) map: Option<String>,
    pub(crate) date: String,
    pub(crate) discontinuities: u32,
    pub(crate) parts: Vec<Part>,
}

/// Where another rendition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) uri: String,
    pub(crate) msn: u64,
    pub(crate) part: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Playlist {
    pub(crate) target: i64,
    pub(crate) part_target: i64,
    pub(crate) control: BTreeMap<String, String>,
    pub(crate) msn: u64,
    pub(crate) discontinuities: u32,
    pub(crate) skipped: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) hint: Option<String>,
    pub(crate) reports: Vec<Report>,
    pub(crate) ended: bool,
}

pub(crate) fn attributes(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

impl Segment {
    /// The time of day of its EXT-X-PROGRAM-DATE-TIME, ms.
    pub(crate) fn date_ms(&self) -> i64 {
        let time = self.date.split_once('T').unwrap().1.strip_suffix('Z').unwrap();
        let mut fields = time.split(':');
        let [hours, minutes, seconds] = [0, 1, 2].map(|_| fields.next().unwrap());
        let whole = |text: &str| text.parse::<i64>().unwrap();
        (whole(hours) * 60 + whole(minutes)) * 60_000 + micros(seconds) / 1_000
    }
}

impl Playlist {
    pub(crate) fn parse(text: &str) -> Self {
        let mut list = Self::default();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"));
        assert_eq!(lines.next(), Some("#EXT-X-VERSION:9"));
        // What the next segment has got so far.
        let mut next: Option<Segment> = None;
        let (mut map, mut discontinuities) = (None, 0);
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            assert!(!list.ended && (list.hint.is_none() || tag == "#EXT-X-RENDITION-REPORT"));
            match tag {
                "#EXT-X-TARGETDURATION" => list.target = value.parse().unwrap(),
                "#EXT-X-SERVER-CONTROL" => list.control = attributes(value),
                "#EXT-X-PART-INF" => list.part_target = micros(&attributes(value)["PART-TARGET"]),
                "#EXT-X-MEDIA-SEQUENCE" => list.msn = value.parse().unwrap(),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                    discontinuities = value.parse().unwrap();
                    list.discontinuities = discontinuities;
                }
                "#EXT-X-SKIP" => {
                    assert!(list.segments.is_empty() && next.is_none());
                    list.skipped = attributes(value)["SKIPPED-SEGMENTS"].parse().unwrap();
                }
                "#EXT-X-DISCONTINUITY" => discontinuities += 1,
                "#EXT-X-MAP" => map = Some(attributes(value)["URI"].clone()),
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    assert!(next.is_none());
                    let count = u64::try_from(list.segments.len()).unwrap();
                    next = Some(Segment {
                        msn: list.msn + list.skipped + count,
                        uri: String::new(),
                        micros: 0,
                        map: map.clone(),
                        date: value.to_owned(),
                        discontinuities,
                        parts: Vec::new(),
                    });
                }
                "#EXT-X-PART" => {
                    let attributes = attributes(value);
                    let (uri, duration) = (attributes["URI"].clone(), &attributes["DURATION"]);
                    next.as_mut().unwrap().parts.push(Part { uri, micros: micros(duration) });
                }
                "#EXTINF" => {
                    next.as_mut().unwrap().micros = micros(value.strip_suffix(',').unwrap());
                }
                "#EXT-X-PRELOAD-HINT" => {
                    let attributes = attributes(value);
                    assert_eq!(attributes["TYPE"], "PART");
                    list.hint = Some(attributes["URI"].clone());
                }
                "#EXT-X-RENDITION-REPORT" => {
                    let attributes = attributes(value);
                    list.reports.push(Report {
                        uri: attributes["URI"].clone(),
                        msn: attributes["LAST-MSN"].parse().unwrap(),
                        part: attributes.get("LAST-PART").map(|part| part.parse().unwrap()),
                    });
                }
                "#EXT-X-ENDLIST" => list.ended = true,
                _ => {
                    assert!(!line.starts_with('#'), "{line}");
                    let mut segment = next.take().unwrap();
                    line.clone_into(&mut segment.uri);
                    list.segments.push(segment);
                }
            }
        }
        list.segments.extend(next);
        list
    }

    /// What a player has after a delta update: skipped segments are those of
    /// the playlist before (§6.3.7), with whatever parts it listed.
    pub(crate) fn merged(mut self, before: &Self) -> Self {
        let skipped = self.msn..self.msn + self.skipped;
        let known = before.segments.iter().filter(|s| skipped.contains(&s.msn));
        let mut segments: Vec<_> = known.cloned().collect();
        assert_eq!(u64::try_from(segments.len()).unwrap(), self.skipped, "something is missing");
        // Tags of skipped segments still apply to what follows them.
        if let Some(last) = segments.last() {
            let moved = last.discontinuities - self.discontinuities;
            for segment in &mut self.segments {
                segment.discontinuities += moved;
                segment.map = segment.map.take().or_else(|| last.map.clone());
            }
        }
        segments.append(&mut self.segments);
        self.segments = segments;
        self.skipped = 0;
        self
    }
}
