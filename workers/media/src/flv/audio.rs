//! The body of an audio tag (Annex E.4.2, AUDIODATA and AACAUDIODATA).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FlvError;

/// SoundFormat of AAC.
const AAC: u8 = 10;
/// What AAC tags say in their first byte whatever the truth (E.4.2.1): AAC,
/// 44 kHz, 16 bit, stereo. The AudioSpecificConfig decides.
const AAC_FIRST_BYTE: u8 = AAC << 4 | 0x0f;

/// What an AAC tag carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioPacket {
    /// An AudioSpecificConfig.
    Config(Bytes),
    /// One raw AAC frame (raw_data_block), without ADTS.
    Frame(Bytes),
}

/// One audio tag body, AAC only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioTag {
    /// What it carries.
    pub packet: AudioPacket,
}

impl AudioTag {
    /// Bytes of a body with a configuration that is believed: encoders' have
    /// fewer than 20. It travels with every checkpoint.
    pub const MAX_CONFIG: usize = 256;

    /// Opens a tag body. The data is a view of `body`, not a copy.
    pub fn parse(body: &Bytes) -> Result<Self, FlvError> {
        let mut rest = body.clone();
        let short = |_| FlvError::Short { what: "audio tag", length: body.len() };
        let format = rest.try_get_u8().map_err(short)? >> 4;
        if format != AAC {
            return Err(FlvError::AudioCodec { id: format, name: format_name(format) });
        }
        let packet = match rest.try_get_u8().map_err(short)? {
            0 if body.len() > Self::MAX_CONFIG => {
                return Err(FlvError::TooLong { length: body.len(), max: Self::MAX_CONFIG });
            }
            0 => AudioPacket::Config(rest),
            1 => AudioPacket::Frame(rest),
            packet_type => return Err(FlvError::PacketType { codec: "AAC", packet_type }),
        };
        Ok(Self { packet })
    }

    /// The tag body again, with the first byte AAC always has.
    pub fn to_body(&self) -> Bytes {
        let (packet_type, data) = match &self.packet {
            AudioPacket::Config(data) => (0, data),
            AudioPacket::Frame(data) => (1, data),
        };
        let mut body = BytesMut::with_capacity(2 + data.len());
        body.put_u8(AAC_FIRST_BYTE);
        body.put_u8(packet_type);
        body.put_slice(data);
        body.freeze()
    }
}

fn format_name(format: u8) -> &'static str {
    match format {
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 => "MP3",
        4..=6 => "Nellymoser",
        7 => "G.711 A-law",
        8 => "G.711 mu-law",
        9 => "enhanced RTMP audio",
        11 => "Speex",
        14 => "MP3 8 kHz",
        15 => "device specific",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &'static [u8]) -> Result<AudioTag, FlvError> {
        AudioTag::parse(&Bytes::from_static(body))
    }

    #[test]
    fn configuration_and_frame_are_told_apart() {
        let config = parse(&[0xaf, 0, 0x12, 0x10]).unwrap();
        assert_eq!(config.packet, AudioPacket::Config(Bytes::from_static(&[0x12, 0x10])));
        assert_eq!(config.to_body(), &[0xaf, 0, 0x12, 0x10][..]);
        let frame = parse(&[0xae, 1, 7]).unwrap();
        assert_eq!(frame.packet, AudioPacket::Frame(Bytes::from_static(&[7])));
    }

    #[test]
    fn other_codecs_are_named() {
        let text = |body| parse(body).unwrap_err().to_string();
        assert!(text(&[0x2f, 0]).contains("MP3"));
        assert!(text(&[0x90]).contains("enhanced"));
        assert!(text(&[0xaf]).contains("too short"));
        assert!(text(&[0xaf, 2]).contains("packet type 2"));
    }

    proptest! {
        #[test]
        fn hostile_bodies_are_refused_or_written_again_as_they_mean(
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(tag) = AudioTag::parse(&body.into()) {
                prop_assert_eq!(AudioTag::parse(&tag.to_body()), Ok(tag));
            }
        }
    }
}
