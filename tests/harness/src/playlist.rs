//! What a viewer reads from playlists: RFC 8216bis, only the tags that tests and the demo judge.
//!
//! Deliberately not the writer's code: a test must not share the mistakes of what it tests.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// A multivariant playlist (§4.4.6).
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant {
    /// In the playlist's order.
    pub variants: Vec<Variant>,
    /// URIs of the audio renditions.
    pub audio: Vec<String>,
}

/// One EXT-X-STREAM-INF and its URI.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// As written.
    pub uri: String,
    /// Attributes, unquoted.
    pub attributes: HashMap<String, String>,
}

impl Variant {
    /// RESOLUTION as width and height.
    pub fn resolution(&self) -> Option<(u32, u32)> {
        let (width, height) = self.attributes.get("RESOLUTION")?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    }
}

impl Multivariant {
    /// # Errors
    /// When it is no playlist or has no variant.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = start(text)?;
        let mut variants = Vec::new();
        let mut audio = Vec::new();
        while let Some(line) = lines.next() {
            if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                let uri = lines.next().context("EXT-X-STREAM-INF without a URI")?;
                variants.push(Variant { uri: uri.to_owned(), attributes: attributes(list) });
            } else if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
                let mut list = attributes(list);
                if list.get("TYPE").is_some_and(|kind| kind == "AUDIO") {
                    audio.extend(list.remove("URI"));
                }
            }
        }
        ensure!(!variants.is_empty(), "no variant in:\n{text}");
        Ok(Self { variants, audio })
    }
}

/// A media playlist (§4.4.3 to §4.4.5).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Media {
    /// EXT-X-MEDIA-SEQUENCE: number of the first segment.
    pub first_msn: u64,
    /// Complete segments.
    pub segments: Vec<Segment>,
    /// Parts of the segment after the last complete one.
    pub open_parts: Vec<Part>,
    /// Whether EXT-X-ENDLIST stands at the end.
    pub ended: bool,
    /// PART-TARGET in seconds.
    pub part_target: Option<f64>,
}

/// A complete segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// EXTINF in seconds.
    pub duration: f64,
    /// As written.
    pub uri: String,
    /// Its parts, while listed.
    pub parts: Vec<Part>,
    /// Whether EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Whether EXT-X-GAP stands on it.
    pub gap: bool,
    /// The EXT-X-MAP in force.
    pub map: Option<String>,
}

/// EXT-X-PART.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// DURATION in seconds.
    pub duration: f64,
    /// As written.
    pub uri: String,
    /// INDEPENDENT=YES.
    pub independent: bool,
    /// The EXT-X-MAP in force.
    pub map: Option<String>,
}

impl Media {
    /// # Errors
    /// When it is no playlist or a number is none.
    pub fn parse(text: &str) -> Result<Self> {
        let mut playlist = Self::default();
        let mut parts = Vec::new();
        let mut map = None;
        let (mut duration, mut discontinuity, mut gap) = (None, false, false);
        for line in start(text)? {
            if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                playlist.first_msn = value.trim().parse().context("EXT-X-MEDIA-SEQUENCE")?;
            } else if let Some(list) = line.strip_prefix("#EXT-X-PART-INF:") {
                playlist.part_target = number(&attributes(list), "PART-TARGET").ok();
            } else if let Some(list) = line.strip_prefix("#EXT-X-MAP:") {
                map = attributes(list).remove("URI");
            } else if let Some(value) = line.strip_prefix("#EXTINF:") {
                let (seconds, _) = value.split_once(',').unwrap_or((value, ""));
                duration = Some(seconds.trim().parse().context("EXTINF")?);
            } else if let Some(list) = line.strip_prefix("#EXT-X-PART:") {
                let list = attributes(list);
                parts.push(Part {
                    duration: number(&list, "DURATION")?,
                    independent: list.get("INDEPENDENT").is_some_and(|value| value == "YES"),
                    uri: list.get("URI").context("EXT-X-PART without a URI")?.clone(),
                    map: map.clone(),
                });
            } else if line == "#EXT-X-DISCONTINUITY" {
                discontinuity = true;
            } else if line == "#EXT-X-GAP" {
                gap = true;
            } else if line == "#EXT-X-ENDLIST" {
                playlist.ended = true;
            } else if !line.starts_with('#') {
                let msn = playlist.first_msn + u64::try_from(playlist.segments.len())?;
                playlist.segments.push(Segment {
                    msn,
                    duration: duration.take().context("a segment without EXTINF")?,
                    uri: line.to_owned(),
                    parts: std::mem::take(&mut parts),
                    discontinuity: std::mem::take(&mut discontinuity),
                    gap: std::mem::take(&mut gap),
                    map: map.clone(),
                });
            }
        }
        playlist.open_parts = parts;
        Ok(playlist)
    }

    /// The next thing this playlist will tell of, as `_HLS_msn` and `_HLS_part` (§6.2.5.2).
    pub fn next(&self) -> Result<(u64, u64)> {
        let segments = u64::try_from(self.segments.len())?;
        let parts = u64::try_from(self.open_parts.len())?;
        Ok((self.first_msn + segments, parts))
    }

    /// The newest part, or nothing.
    pub fn last_part(&self) -> Option<&Part> {
        let complete = self.segments.iter().flat_map(|segment| &segment.parts);
        self.open_parts.last().or_else(|| complete.last())
    }
}

/// `uri` as seen from the playlist at `base` (RFC 3986 §5, for the forms that playlists use).
///
/// # Errors
/// When `base` is no absolute URL.
pub fn resolve(base: &str, uri: &str) -> Result<String> {
    let base = reqwest::Url::parse(base).with_context(|| format!("URL {base}"))?;
    let url = base.join(uri).with_context(|| format!("URI {uri}"))?;
    Ok(url.into())
}

fn start(text: &str) -> Result<impl Iterator<Item = &str>> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("#EXTM3U") {
        bail!("no playlist: it does not begin with #EXTM3U");
    }
    Ok(lines)
}

fn number(list: &HashMap<String, String>, name: &str) -> Result<f64> {
    let text = list.get(name).with_context(|| format!("no {name}"))?;
    text.parse().with_context(|| format!("{name}={text}"))
}

/// An attribute list (§4.2): a comma inside quotes separates nothing.
fn attributes(list: &str) -> HashMap<String, String> {
    let mut quoted = false;
    list.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .filter_map(|pair| pair.split_once('='))
    .map(|(name, value)| (name.trim().to_owned(), value.trim_matches('"').to_owned()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_playlist_yields_segments_parts_and_what_comes_next() {
        let text = "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=0.215\n#EXT-X-MEDIA-SEQUENCE:7\n\
            #EXT-X-MAP:URI=\"init-a.mp4\"\n#EXTINF:2.00000,\n7-1.m4s\n#EXT-X-DISCONTINUITY\n\
            #EXT-X-PART:DURATION=0.2,URI=\"8.0-1.m4s\",INDEPENDENT=YES\n#EXTINF:2.00000,\n8-1.m4s\n\
            #EXT-X-PART:DURATION=0.2,URI=\"9.0-1.m4s\"\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.1-1.m4s\"\n";
        let playlist = Media::parse(text).unwrap();
        assert_eq!(playlist.next().unwrap(), (9, 1));
        assert_eq!(playlist.segments[1].msn, 8);
        assert!(playlist.segments[1].discontinuity && playlist.segments[1].parts[0].independent);
        let last = playlist.last_part().unwrap();
        assert_eq!((last.uri.as_str(), last.map.as_deref()), ("9.0-1.m4s", Some("init-a.mp4")));
    }

    #[test]
    fn a_comma_inside_quotes_does_not_end_an_attribute() {
        let list = attributes("CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720");
        assert_eq!(list["CODECS"], "avc1.64001f,mp4a.40.2");
        assert_eq!(list["RESOLUTION"], "1280x720");
    }
}
