//! The tags of an FLV file (Adobe's FLV specification 10.1, annex E), to be published again.

use anyhow::{Result, bail, ensure};
use bytes::Bytes;

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An AVCDecoderConfigurationRecord.
    VideoConfig,
    /// One picture.
    Picture,
    /// An AudioSpecificConfig.
    AudioConfig,
    /// One AAC frame.
    Sound,
}

impl Kind {
    /// Of a tag of type `tag` (E.4.1); what is none of ours is `None`.
    fn of(tag: u8, body: &[u8]) -> Option<Self> {
        let (first, packet) = (body.first()?, body.get(1)?);
        match (tag, first & 0x0f, first >> 4, packet) {
            (9, 7, _, 0) => Some(Self::VideoConfig),
            (9, 7, _, 1) => Some(Self::Picture),
            (8, _, 10, 0) => Some(Self::AudioConfig),
            (8, _, 10, 1) => Some(Self::Sound),
            _ => None,
        }
    }

    /// Whether it belongs to the pictures.
    pub fn is_video(self) -> bool {
        matches!(self, Self::VideoConfig | Self::Picture)
    }
}

/// One tag with H.264 or AAC in it.
#[derive(Debug, Clone)]
pub struct Tag {
    /// What it carries.
    pub kind: Kind,
    /// Decode time in ms.
    pub time_ms: u32,
    /// As an RTMP message carries it.
    pub body: Bytes,
}

impl Tag {
    /// The NAL units of a picture, each behind its length (E.4.3.1: after the five bytes of
    /// VIDEODATA and AVCVIDEOPACKET), or the AAC frame (E.4.2.1: after the two of AUDIODATA).
    pub fn access_unit(&self) -> &[u8] {
        self.body.get(if self.kind.is_video() { 5 } else { 2 }..).unwrap_or_default()
    }

    /// How much later than decoded the picture is shown, in ms (E.4.3.1: CompositionTime, the three
    /// bytes before the NAL units).
    pub fn composition_ms(&self) -> i64 {
        match self.body.get(2..5) {
            Some([a, b, c]) if self.kind == Kind::Picture => {
                i64::from(i32::from_be_bytes([*a, *b, *c, 0]) >> 8)
            }
            _ => 0,
        }
    }

    /// When it is shown or heard, in ms.
    pub fn shown_ms(&self) -> i64 {
        i64::from(self.time_ms) + self.composition_ms()
    }

    /// Whether a decoder can begin with this picture (E.4.3.1).
    pub fn is_keyframe(&self) -> bool {
        self.kind == Kind::Picture && self.body.first().is_some_and(|byte| byte >> 4 == 1)
    }
}

/// All H.264 and AAC tags of a file, in its order.
///
/// # Errors
/// When it is no FLV, or ends inside a tag.
pub fn tags(mut file: Bytes) -> Result<Vec<Tag>> {
    ensure!(file.starts_with(b"FLV\x01"), "no FLV");
    // The header, and the size of no tag before the first.
    take(&mut file, 13)?;
    let mut tags = Vec::new();
    while !file.is_empty() {
        // E.4.1: type, size, time with its highest byte last, stream id.
        let header = take(&mut file, 11)?;
        let [tag, s2, s1, s0, t2, t1, t0, t3, ..] = *header else { bail!("a short tag header") };
        let body = take(&mut file, usize::try_from(u32::from_be_bytes([0, s2, s1, s0]))?)?;
        take(&mut file, 4)?;
        if let Some(kind) = Kind::of(tag, &body) {
            tags.push(Tag { kind, time_ms: u32::from_be_bytes([t3, t2, t1, t0]), body });
        }
    }
    Ok(tags)
}

fn take(file: &mut Bytes, length: usize) -> Result<Bytes> {
    ensure!(file.len() >= length, "the FLV file ends inside a tag");
    Ok(file.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag and its size.
    fn tag(kind: u8, time_ms: u32, body: &[u8]) -> Vec<u8> {
        let [t3, t2, t1, t0] = time_ms.to_be_bytes();
        let size = u8::try_from(body.len()).unwrap();
        let mut bytes = vec![kind, 0, 0, size, t2, t1, t0, t3, 0, 0, 0];
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&(11 + u32::from(size)).to_be_bytes());
        bytes
    }

    fn file(tags: &[Vec<u8>]) -> Bytes {
        Bytes::from([b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tags.concat()].concat())
    }

    #[test]
    fn tags_keep_their_order_times_and_bodies_and_others_are_left_out() {
        let tags = tags(file(&[
            tag(18, 0, b"metadata"),
            tag(9, 0, &[0x17, 0, 0, 0, 0, 1]),
            tag(8, 0, &[0xaf, 0, 0x12]),
            tag(9, 0x0123_4567, &[0x27, 1, 0, 0, 0, 9, 8]),
            tag(8, 21, &[0xaf, 1, 7]),
            tag(9, 40, &[0x17, 2, 0, 0, 0]),
        ]))
        .unwrap();
        let kinds: Vec<_> = tags.iter().map(|tag| tag.kind).collect();
        assert_eq!(kinds, [Kind::VideoConfig, Kind::AudioConfig, Kind::Picture, Kind::Sound]);
        assert_eq!(tags[2].time_ms, 0x0123_4567);
        assert_eq!(tags[2].access_unit(), [9, 8]);
        assert_eq!(tags[3].access_unit(), [7]);
    }

    #[test]
    fn a_file_that_ends_inside_a_tag_is_refused() {
        let whole = file(&[tag(9, 0, &[0x17, 1, 0, 0, 0, 1])]);
        assert!(tags(whole.slice(..whole.len() - 5)).is_err());
    }
}
