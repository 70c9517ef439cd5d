//! The body of a video tag (Annex E.4.3, VIDEODATA and AVCVIDEOPACKET).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FlvError;

/// How far a picture may be presented from where it is decoded, in ms: far more
/// than any reordering needs.
pub(crate) const COMPOSITION_MS: std::ops::RangeInclusive<i32> = -10_000..=10_000;

/// CodecID of AVC.
const AVC: u8 = 7;
/// Top bit of the first byte: an Enhanced RTMP header follows.
const EX_HEADER: u8 = 0x80;

/// What kind of picture a tag claims to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// A seekable frame.
    Key,
    /// A frame that needs others.
    Inter,
    /// H.263 only: an inter frame nothing refers to.
    Disposable,
    /// For servers only.
    GeneratedKey,
    /// A command to the player; no picture.
    Command,
}

/// What an AVC tag carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoPacket {
    /// An AVCDecoderConfigurationRecord.
    Config(Bytes),
    /// One access unit.
    Picture {
        /// Presentation minus decode time in ms, a signed 24-bit number.
        composition_ms: i32,
        /// Length-prefixed NAL units.
        data: Bytes,
    },
    /// No more pictures.
    End,
    /// A player command (frame type 5): nothing for a decoder.
    Command,
}

/// One video tag body, H.264 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTag {
    /// What the tag claims about its picture. The NAL units decide.
    pub frame_type: FrameType,
    /// What it carries.
    pub packet: VideoPacket,
}

impl VideoTag {
    /// Opens a tag body. The data is a view of `body`, not a copy.
    pub fn parse(body: &Bytes) -> Result<Self, FlvError> {
        let mut rest = body.clone();
        let short = |_| FlvError::Short { what: "video tag", length: body.len() };
        let first = rest.try_get_u8().map_err(short)?;
        if first & EX_HEADER != 0 {
            return Err(FlvError::EnhancedVideo { four_cc: enhanced_codec(first, &rest) });
        }
        let frame_type = match first >> 4 {
            1 => FrameType::Key,
            2 => FrameType::Inter,
            3 => FrameType::Disposable,
            4 => FrameType::GeneratedKey,
            5 => FrameType::Command,
            other => return Err(FlvError::FrameType(other)),
        };
        let codec = first & 0x0f;
        if codec != AVC {
            return Err(FlvError::VideoCodec { id: codec, name: codec_name(codec) });
        }
        if frame_type == FrameType::Command {
            return Ok(Self { frame_type, packet: VideoPacket::Command });
        }
        let packet_type = rest.try_get_u8().map_err(short)?;
        let composition_ms = i32::try_from(rest.try_get_int(3).map_err(short)?).unwrap_or_default();
        let packet = match packet_type {
            0 => VideoPacket::Config(rest),
            1 if !COMPOSITION_MS.contains(&composition_ms) => {
                return Err(FlvError::Composition(composition_ms));
            }
            1 => VideoPacket::Picture { composition_ms, data: rest },
            2 => VideoPacket::End,
            packet_type => return Err(FlvError::PacketType { codec: "AVC", packet_type }),
        };
        Ok(Self { frame_type, packet })
    }

    /// The tag body again. A composition time is cut to its 24 bits.
    pub fn to_body(&self) -> Bytes {
        let frame_type = match self.frame_type {
            FrameType::Key => 1,
            FrameType::Inter => 2,
            FrameType::Disposable => 3,
            FrameType::GeneratedKey => 4,
            FrameType::Command => 5,
        };
        let (packet_type, composition_ms, data) = match &self.packet {
            VideoPacket::Config(data) => (0, 0, data.as_ref()),
            VideoPacket::Picture { composition_ms, data } => (1, *composition_ms, data.as_ref()),
            // A command's one byte is `0`, start of client-side seeking.
            VideoPacket::End | VideoPacket::Command => (2, 0, &[][..]),
        };
        let mut body = BytesMut::with_capacity(5 + data.len());
        body.put_u8(frame_type << 4 | AVC);
        if self.packet == VideoPacket::Command {
            body.put_u8(0);
        } else {
            body.put_u8(packet_type);
            body.put_int(composition_ms.into(), 3);
            body.put_slice(data);
        }
        body.freeze()
    }
}

/// The FourCC of an Enhanced RTMP header. It follows the first byte for packet
/// types 0 to 5; multitrack and modifier packets put other things there.
fn enhanced_codec(first: u8, rest: &[u8]) -> String {
    match rest.get(..4) {
        Some(four_cc) if first & 0x0f <= 5 => four_cc
            .iter()
            .map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' })
            .collect(),
        _ => "unnamed codec".to_owned(),
    }
}

fn codec_name(id: u8) -> &'static str {
    match id {
        1 => "JPEG",
        2 => "Sorenson H.263",
        3 => "Screen video",
        4 => "On2 VP6",
        5 => "On2 VP6 with alpha",
        6 => "Screen video 2",
        12 => "HEVC outside the specification",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &'static [u8]) -> Result<VideoTag, FlvError> {
        VideoTag::parse(&Bytes::from_static(body))
    }

    #[test]
    fn a_picture_keeps_its_negative_composition_time() {
        let body = &[0x27, 1, 0xff, 0xff, 0xd8, 9, 9];
        let tag = parse(body).unwrap();
        let data = Bytes::from_static(&[9, 9]);
        assert_eq!(tag.packet, VideoPacket::Picture { composition_ms: -40, data });
        assert_eq!(tag.frame_type, FrameType::Inter);
        assert_eq!(tag.to_body(), &body[..]);
    }

    #[test]
    fn a_configuration_and_an_end_are_told_apart() {
        let config = parse(&[0x17, 0, 0, 0, 0, 1, 2]).unwrap();
        assert_eq!(config.packet, VideoPacket::Config(Bytes::from_static(&[1, 2])));
        assert_eq!(parse(&[0x17, 2, 0, 0, 0]).unwrap().packet, VideoPacket::End);
        assert_eq!(parse(&[0x57, 0]).unwrap().packet, VideoPacket::Command);
    }

    #[test]
    fn other_codecs_are_named() {
        let text = |body| parse(body).unwrap_err().to_string();
        assert!(text(&[0x12]).contains("Sorenson"));
        assert!(text(&[0x90, b'h', b'v', b'c', b'1']).contains("hvc1"));
        assert!(text(&[0x90, b'h']).contains("unnamed"));
        assert!(text(&[0x07]).contains("frame type 0"));
        assert!(text(&[0x17, 9, 0, 0, 0]).contains("packet type 9"));
        assert!(text(&[0x17, 1, 0, 0]).contains("too short"));
    }

    proptest! {
        #[test]
        fn hostile_bodies_are_refused_or_written_again_as_they_mean(
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(tag) = VideoTag::parse(&body.into()) {
                prop_assert_eq!(VideoTag::parse(&tag.to_body()), Ok(tag));
            }
        }
    }
}
