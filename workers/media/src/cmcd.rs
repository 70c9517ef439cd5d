//! Common media client data: what a player says of itself in the `CMCD`
//! argument of a media request's query (CTA-5004, September 2020, version 1).
//!
//! The payload is strict: a known key with a value that is none makes the whole
//! invalid, so that no figure rests on a guess. Keys that are not known
//! (§3: custom ones have a hyphen; later versions add others) are passed over.

mod payload;

use payload::{Items, Value};

/// Longest `CMCD` argument read, in bytes as sent.
pub const MAX_BYTES: usize = 2_048;
/// Most keys of one payload.
const MAX_KEYS: usize = 64;
/// Longest `cid` and `sid` (CTA-5004 §3.1: 64 characters).
const MAX_ID: usize = 64;

/// Why a `CMCD` argument says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCmcd {
    /// Longer than [`MAX_BYTES`], or more keys than any player sends.
    #[error("CMCD is too long")]
    Long,
    /// Not URL-encoded UTF-8.
    #[error("CMCD is not URL-encoded text")]
    Encoding,
    /// Not a list of keys with values.
    #[error("CMCD is not a list of keys and values")]
    Syntax,
    /// A key with a value of another type or out of bounds.
    #[error("CMCD key {0} has a value it can't have")]
    Value(&'static str),
    /// The same key twice, or the argument.
    #[error("CMCD or a key of it stands twice")]
    Twice,
    /// A version whose values mean something else.
    #[error("CMCD is of a version other than 1")]
    Version,
}

/// Key `ot`: what is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectType {
    /// `m`: a playlist or manifest.
    Manifest,
    /// `a`: audio only.
    Audio,
    /// `v`: video only.
    Video,
    /// `av`: both.
    Muxed,
    /// `i`: an init segment.
    Init,
    /// `c`, `tt`: captions or timed text.
    Text,
    /// `k`: a key, a licence or a certificate.
    Key,
    /// `o`: something else.
    Other,
}

/// Key `sf`: how it is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamingFormat {
    /// `d`
    Dash,
    /// `h`
    Hls,
    /// `s`
    Smooth,
    /// `o`
    Other,
}

/// Key `st`: whether all segments are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamType {
    /// `v`
    OnDemand,
    /// `l`; `ll` too, which is version 2's for low latency and what hls.js
    /// sends in version 1.
    Live,
}

/// What a player says with one request (CTA-5004 §3.1, the reserved keys).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cmcd {
    /// `br`: encoded bitrate of what is requested, kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// `bl`: buffer ahead of the playhead, ms.
    pub buffer_ms: Option<u32>,
    /// `bs`: the buffer ran empty since the last request.
    pub starved: bool,
    /// `cid`: what is played, 1 to 64 characters.
    pub content: Option<String>,
    /// `d`: duration of what is requested, ms.
    pub duration_ms: Option<u32>,
    /// `dl`: until when it must be there, ms from the request.
    pub deadline_ms: Option<u32>,
    /// `mtp`: throughput the player measured, kbit/s.
    pub throughput_kbps: Option<u32>,
    /// `ot`: what is requested.
    pub object: Option<ObjectType>,
    /// `pr`: playback rate in thousandths; 1,000 is real time, 0 is standing.
    pub rate_permille: Option<u32>,
    /// `rtp`: throughput the player asks for at most, kbit/s.
    pub wanted_kbps: Option<u32>,
    /// `sf`: how it is streamed.
    pub format: Option<StreamingFormat>,
    /// `sid`: the playback session, 1 to 64 characters.
    pub session: Option<String>,
    /// `st`: live or not.
    pub kind: Option<StreamType>,
    /// `su`: needed to start, or to go on after a seek or an empty buffer.
    pub startup: bool,
    /// `tb`: bitrate of the highest rung the player may play, kbit/s.
    pub top_bitrate_kbps: Option<u32>,
}

impl Cmcd {
    /// Of a URL's query, without the `?`; none if it has no `CMCD`.
    pub fn of_query(query: &str) -> Result<Option<Self>, InvalidCmcd> {
        let mut found = None;
        for parameter in query.split('&') {
            if let Some(value) = parameter.strip_prefix("CMCD=")
                && found.replace(value).is_some()
            {
                return Err(InvalidCmcd::Twice);
            }
        }
        let Some(encoded) = found else { return Ok(None) };
        if encoded.len() > MAX_BYTES {
            return Err(InvalidCmcd::Long);
        }
        Self::parse(&payload::decode(encoded)?).map(Some)
    }

    /// Of a payload that is URL-decoded.
    pub fn parse(text: &str) -> Result<Self, InvalidCmcd> {
        if text.len() > MAX_BYTES {
            return Err(InvalidCmcd::Long);
        }
        let (mut cmcd, mut seen) = (Self::default(), Vec::new());
        for item in Items::of(text) {
            let (key, value) = item?;
            if seen.contains(&key) {
                return Err(InvalidCmcd::Twice);
            }
            if seen.len() == MAX_KEYS {
                return Err(InvalidCmcd::Long);
            }
            seen.push(key);
            cmcd.set(key, value)?;
        }
        Ok(cmcd)
    }

    fn set(&mut self, key: &str, value: Value<'_>) -> Result<(), InvalidCmcd> {
        match key {
            "bl" => self.buffer_ms = Some(value.integer("bl")?),
            "br" => self.bitrate_kbps = Some(value.integer("br")?),
            "bs" => self.starved = value.boolean("bs")?,
            "cid" => self.content = Some(value.id("cid")?),
            "d" => self.duration_ms = Some(value.integer("d")?),
            "dl" => self.deadline_ms = Some(value.integer("dl")?),
            "mtp" => self.throughput_kbps = Some(value.integer("mtp")?),
            "ot" => self.object = Some(object(value.token("ot")?)?),
            "pr" => self.rate_permille = Some(value.permille("pr")?),
            "rtp" => self.wanted_kbps = Some(value.integer("rtp")?),
            "sf" => self.format = Some(format(value.token("sf")?)?),
            "sid" => self.session = Some(value.id("sid")?),
            "st" => self.kind = Some(kind(value.token("st")?)?),
            "su" => self.startup = value.boolean("su")?,
            "tb" => self.top_bitrate_kbps = Some(value.integer("tb")?),
            // The next object and range are requests to prefetch: not taken.
            "nor" | "nrr" => drop(value.text(key_name(key))?),
            "v" if value.integer("v")? != 1 => return Err(InvalidCmcd::Version),
            _ => {}
        }
        Ok(())
    }
}

fn key_name(key: &str) -> &'static str {
    if key == "nor" { "nor" } else { "nrr" }
}

fn object(token: &str) -> Result<ObjectType, InvalidCmcd> {
    Ok(match token {
        "m" => ObjectType::Manifest,
        "a" => ObjectType::Audio,
        "v" => ObjectType::Video,
        "av" => ObjectType::Muxed,
        "i" => ObjectType::Init,
        "c" | "tt" => ObjectType::Text,
        "k" => ObjectType::Key,
        "o" => ObjectType::Other,
        _ => return Err(InvalidCmcd::Value("ot")),
    })
}

fn format(token: &str) -> Result<StreamingFormat, InvalidCmcd> {
    Ok(match token {
        "d" => StreamingFormat::Dash,
        "h" => StreamingFormat::Hls,
        "s" => StreamingFormat::Smooth,
        "o" => StreamingFormat::Other,
        _ => return Err(InvalidCmcd::Value("sf")),
    })
}

fn kind(token: &str) -> Result<StreamType, InvalidCmcd> {
    match token {
        "v" => Ok(StreamType::OnDemand),
        "l" | "ll" => Ok(StreamType::Live),
        _ => Err(InvalidCmcd::Value("st")),
    }
}

#[cfg(test)]
mod tests;
