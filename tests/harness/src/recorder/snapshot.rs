//! One version of a media playlist with everything it says, read strictly: a
//! tag this reader doesn't know is an error, as is one out of place.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::Origin;

/// A part as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) uri: String,
    /// DURATION in microseconds.
    pub(super) micros: i64,
    pub(super) independent: bool,
}

/// A segment with the tags that apply to it; one that still grows has no URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) msn: u64,
    pub(super) uri: Option<String>,
    /// EXTINF in microseconds; 0 while it grows.
    pub(super) micros: i64,
    pub(super) map: String,
    /// EXT-X-PROGRAM-DATE-TIME as written.
    pub(super) date: Option<String>,
    /// Discontinuity sequence number.
    pub(super) discontinuity: u64,
    pub(super) parts: Vec<Part>,
    /// EXT-X-GAP: there is nothing to fetch.
    pub(super) gap: bool,
}

impl Segment {
    /// EXTINF, or that of its parts while it grows, in microseconds.
    pub(super) fn length(&self) -> i64 {
        if self.uri.is_some() {
            return self.micros;
        }
        self.parts.iter().map(|part| part.micros).sum()
    }
}

/// A whole media playlist.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Snapshot {
    /// EXT-X-TARGETDURATION in seconds.
    pub(super) target: i64,
    /// PART-TARGET in microseconds.
    pub(super) part_target: i64,
    /// EXT-X-SERVER-CONTROL.
    pub(super) control: BTreeMap<String, String>,
    pub(super) msn: u64,
    pub(super) discontinuity: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) ended: bool,
}

/// What has been said about the next segment so far.
#[derive(Default)]
struct Next {
    micros: Option<i64>,
    date: Option<String>,
    parts: Vec<Part>,
    gap: bool,
}

impl Snapshot {
    /// Reads a playlist that is no delta update.
    pub(super) fn parse(text: &str, origin: Origin) -> Result<Self> {
        let mut list = Self::default();
        let mut next = Next::default();
        // MPEG-TS has none.
        let mut map = (origin == Origin::Any).then(String::new);
        let mut discontinuity = None;
        let mut lines = text.lines();
        ensure!(lines.next() == Some("#EXTM3U"), "it does not begin with #EXTM3U");
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            ensure!(!list.ended, "{line} after EXT-X-ENDLIST");
            match tag {
                "#EXT-X-VERSION"
                | "#EXT-X-INDEPENDENT-SEGMENTS"
                | "#EXT-X-PRELOAD-HINT"
                | "#EXT-X-RENDITION-REPORT" => {}
                "#EXT-X-TARGETDURATION" => list.target = number(line, value)?,
                "#EXT-X-SERVER-CONTROL" => list.control = attributes(value)?,
                "#EXT-X-PART-INF" => {
                    list.part_target = micros(attribute(&attributes(value)?, "PART-TARGET")?)?;
                }
                "#EXT-X-MEDIA-SEQUENCE" => list.msn = number(line, value)?,
                "#EXT-X-DISCONTINUITY-SEQUENCE" => list.discontinuity = number(line, value)?,
                "#EXT-X-DISCONTINUITY" => {
                    ensure!(next.parts.is_empty(), "EXT-X-DISCONTINUITY inside a segment");
                    *discontinuity.get_or_insert(list.discontinuity) += 1;
                }
                "#EXT-X-MAP" => map = Some(attribute(&attributes(value)?, "URI")?.to_owned()),
                "#EXT-X-PROGRAM-DATE-TIME" => next.date = Some(value.to_owned()),
                "#EXT-X-PART" => {
                    let list = attributes(value)?;
                    ensure!(!list.contains_key("BYTERANGE"), "byte ranges are not followed here");
                    next.parts.push(Part {
                        uri: attribute(&list, "URI")?.to_owned(),
                        micros: micros(attribute(&list, "DURATION")?)?,
                        independent: list.get("INDEPENDENT").is_some_and(|value| value == "YES"),
                    });
                }
                "#EXTINF" => {
                    next.micros = Some(micros(value.split_once(',').unwrap_or((value, "")).0)?);
                }
                "#EXT-X-BYTERANGE" => bail!("byte ranges are not followed here"),
                "#EXT-X-GAP" => next.gap = true,
                "#EXT-X-ENDLIST" => list.ended = true,
                _ if line.starts_with('#') || line.is_empty() => {
                    ensure!(origin == Origin::Any, "unknown: {line}");
                }
                _ => {
                    let now = discontinuity.unwrap_or(list.discontinuity);
                    ensure!(next.micros.is_some(), "{line} without EXTINF");
                    list.push(std::mem::take(&mut next), Some(line), map.as_deref(), now)?;
                }
            }
        }
        if !next.parts.is_empty() {
            let now = discontinuity.unwrap_or(list.discontinuity);
            list.push(next, None, map.as_deref(), now)?;
        }
        Ok(list)
    }

    fn push(
        &mut self,
        next: Next,
        uri: Option<&str>,
        map: Option<&str>,
        discontinuity: u64,
    ) -> Result<()> {
        self.segments.push(Segment {
            msn: self.msn + u64::try_from(self.segments.len())?,
            uri: uri.map(str::to_owned),
            micros: next.micros.unwrap_or(0),
            map: map.context("a segment before any EXT-X-MAP")?.to_owned(),
            date: next.date,
            discontinuity,
            parts: next.parts,
            gap: next.gap,
        });
        Ok(())
    }

    /// The last thing listed: segment, and part as a count within it. A
    /// complete segment is further than any of its parts.
    pub(super) fn end(&self) -> Option<(u64, usize)> {
        let last = self.segments.last()?;
        let part = if last.uri.is_some() { usize::MAX } else { last.parts.len() };
        Some((last.msn, part))
    }

    /// `_HLS_msn` and `_HLS_part` of what comes next.
    pub(super) fn next(&self) -> (u64, usize) {
        match self.segments.last() {
            None => (self.msn, 0),
            Some(last) if last.uri.is_some() => (last.msn + 1, 0),
            Some(last) => (last.msn, last.parts.len()),
        }
    }
}

fn number<T: std::str::FromStr>(line: &str, text: &str) -> Result<T> {
    text.parse().ok().with_context(|| format!("{line}: not a number"))
}

/// A decimal number of seconds. What is smaller than a microsecond is cut off.
fn micros(text: &str) -> Result<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    ensure!(digits && !fraction.is_empty(), "{text} is not a number with decimals");
    let whole: i64 = number(text, whole)?;
    let fraction = fraction.get(..6).unwrap_or(fraction);
    let fraction: i64 = number(text, &format!("{fraction:0<6}"))?;
    whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(fraction)).context("too long")
}

fn attribute<'a>(list: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str> {
    list.get(name).map(String::as_str).with_context(|| format!("no {name}"))
}

/// An attribute list (§4.2): a comma inside quotes separates nothing.
fn attributes(list: &str) -> Result<BTreeMap<String, String>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').with_context(|| format!("{pair}: no value"))?;
        Ok((name.trim().to_owned(), value.trim_matches('"').to_owned()))
    };
    let mut is_quoted = false;
    let pairs = list.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    pairs.map(pair).collect()
}
