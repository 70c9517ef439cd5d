//! AudioSpecificConfig (ISO 14496-3 §1.6.2.1).

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::AacError;
use super::bits::BitReader;

/// Audio object types (§1.5.1.1, table 1.17).
const LC: u8 = 2;
const SBR: u8 = 5;
const PS: u8 = 29;
/// samplingFrequencyIndex (§1.6.3.4, table 1.18).
const INDEXED_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// samplingFrequencyIndex saying that 24 bits with the rate itself follow.
const EXPLICIT_RATE: u8 = 15;
/// syncExtensionType in front of a backward compatible SBR, then PS, signal.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// An audio decoder configuration: its bytes, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AacConfig {
    bytes: Bytes,
    object_type: u8,
    sample_rate: u32,
    output_rate: u32,
    channels: u8,
    sbr: bool,
    ps: bool,
}

impl AacConfig {
    /// Samples in a frame (§4.5.1.1; 960 is not taken).
    pub const FRAME_SAMPLES: u32 = 1_024;
    /// What a sample rate can be, in Hz.
    pub const SAMPLE_RATES: RangeInclusive<u32> = 7_350..=96_000;

    /// Reads a configuration.
    pub fn parse(bytes: &Bytes) -> Result<Self, AacError> {
        let mut bits = BitReader::new(bytes);
        let short = || AacError::Short(bytes.len());
        let mut object_type = read_object_type(&mut bits).ok_or_else(short)?;
        let sample_rate = read_rate(&mut bits, bytes.len())?;
        let channel_configuration = bits.read_u8(4).ok_or_else(short)?;
        let mut config = Self {
            bytes: bytes.clone(),
            object_type,
            sample_rate,
            output_rate: sample_rate,
            channels: channels(channel_configuration)?,
            sbr: false,
            ps: false,
        };
        // Hierarchical signalling: the extension first, the core after it.
        if object_type == SBR || object_type == PS {
            config.sbr = true;
            config.ps = object_type == PS;
            config.output_rate = read_rate(&mut bits, bytes.len())?;
            object_type = read_object_type(&mut bits).ok_or_else(short)?;
        }
        if !(1..=4).contains(&object_type) {
            return Err(AacError::ObjectType(object_type));
        }
        config.object_type = object_type;
        // GASpecificConfig, §4.4.1.
        if bits.read(1).ok_or_else(short)? == 1 {
            return Err(AacError::ShortFrames); // frameLengthFlag
        }
        if bits.read(1).ok_or_else(short)? == 1 {
            bits.read(14).ok_or_else(short)?; // coreCoderDelay
        }
        bits.read(1).ok_or_else(short)?; // extensionFlag, 0 for these types
        config.read_sync_extension(&mut bits);
        Ok(config)
    }

    /// Backward compatible signalling; there is none when the bits don't say
    /// so or end early.
    fn read_sync_extension(&mut self, bits: &mut BitReader<'_>) {
        if self.sbr || bits.read(11) != Some(SYNC_SBR) || bits.read(5) != Some(SBR.into()) {
            return;
        }
        if bits.read(1) != Some(1) {
            return;
        }
        let Ok(rate) = read_rate(bits, self.bytes.len()) else { return };
        self.sbr = true;
        self.output_rate = rate;
        self.ps = bits.read(11) == Some(SYNC_PS) && bits.read(1) == Some(1);
    }

    /// The configuration, byte for byte as parsed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Samples per second the core is coded at, 7,350 to 96,000. Frames of
    /// [`Self::FRAME_SAMPLES`] count at this rate.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Samples per second that come out; twice the core's with SBR.
    pub fn output_rate(&self) -> u32 {
        self.output_rate
    }

    /// Channels, 1 to 8, before parametric stereo.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Plain AAC-LC.
    pub fn is_plain_lc(&self) -> bool {
        self.object_type == LC && !self.sbr
    }

    /// The RFC 6381 codecs string, `mp4a.40.2` for AAC-LC.
    pub fn codecs(&self) -> String {
        let object_type = match (self.ps, self.sbr) {
            (true, _) => PS,
            (_, true) => SBR,
            _ => self.object_type,
        };
        format!("mp4a.40.{object_type}")
    }
}

/// GetAudioObjectType: five bits, or an escape and six more.
fn read_object_type(bits: &mut BitReader<'_>) -> Option<u8> {
    match bits.read_u8(5)? {
        31 => Some(32 + bits.read_u8(6)?),
        object_type => Some(object_type),
    }
}

fn read_rate(bits: &mut BitReader<'_>, length: usize) -> Result<u32, AacError> {
    let index = bits.read_u8(4).ok_or(AacError::Short(length))?;
    if index == EXPLICIT_RATE {
        let rate = bits.read(24).ok_or(AacError::Short(length))?;
        let usable = AacConfig::SAMPLE_RATES.contains(&rate);
        return if usable { Ok(rate) } else { Err(AacError::SampleRate(rate)) };
    }
    let rate = INDEXED_RATES.get(usize::from(index)).copied();
    rate.ok_or(AacError::SampleRate(index.into()))
}

/// channelConfiguration (§1.6.3.5, table 1.19). 0 would be a program config
/// element.
fn channels(configuration: u8) -> Result<u8, AacError> {
    match configuration {
        1..=6 => Ok(configuration),
        7 => Ok(8),
        _ => Err(AacError::Channels(configuration)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bits::BitWriter;
    use super::*;

    fn parse(fields: &[(u32, u32)]) -> Result<AacConfig, AacError> {
        let mut bits = BitWriter::default();
        for (value, count) in fields {
            bits.write(*value, *count);
        }
        AacConfig::parse(&bits.finish().into())
    }

    #[test]
    fn plain_lc_is_known() {
        let config = AacConfig::parse(&Bytes::from_static(&[0x12, 0x10])).unwrap();
        assert_eq!((config.sample_rate(), config.channels()), (44_100, 2));
        assert!(config.is_plain_lc());
        assert_eq!(config.codecs(), "mp4a.40.2");
        // ffmpeg ends it with a sync extension that says: no SBR.
        let config = AacConfig::parse(&Bytes::from_static(&[0x11, 0x88, 0x56, 0xe5, 0])).unwrap();
        assert_eq!((config.sample_rate(), config.channels()), (48_000, 1));
        assert!(config.is_plain_lc());
    }

    #[test]
    fn an_explicit_rate_is_read() {
        let config = parse(&[(2, 5), (15, 4), (37_800, 24), (2, 4), (0, 3)]).unwrap();
        assert_eq!(config.sample_rate(), 37_800);
        let wrong = parse(&[(2, 5), (15, 4), (1, 24), (2, 4), (0, 3)]);
        assert_eq!(wrong, Err(AacError::SampleRate(1)));
    }

    #[test]
    fn sbr_and_ps_are_seen_in_both_spellings() {
        let config = parse(&[(5, 5), (7, 4), (2, 4), (4, 4), (2, 5), (0, 3)]).unwrap();
        assert_eq!((config.sample_rate(), config.output_rate()), (22_050, 44_100));
        assert_eq!(config.codecs(), "mp4a.40.5");
        let sync = [(2, 5), (6, 4), (1, 4), (0, 3), (0x2b7, 11), (5, 5), (1, 1), (3, 4)];
        let config = parse(&[&sync[..], &[(0x548, 11), (1, 1)]].concat()).unwrap();
        assert_eq!((config.sample_rate(), config.output_rate()), (24_000, 48_000));
        assert_eq!(config.codecs(), "mp4a.40.29");
        assert!(!config.is_plain_lc());
    }

    #[test]
    fn what_is_not_usable_is_refused() {
        assert_eq!(
            parse(&[(31, 5), (10, 6), (4, 4), (2, 4), (0, 3)]),
            Err(AacError::ObjectType(42))
        );
        assert_eq!(parse(&[(2, 5), (13, 4), (2, 4), (0, 3)]), Err(AacError::SampleRate(13)));
        assert_eq!(parse(&[(2, 5), (4, 4), (0, 4), (0, 3)]), Err(AacError::Channels(0)));
        assert_eq!(parse(&[(2, 5)]), Err(AacError::Short(1)));
        assert_eq!(parse(&[(2, 5), (3, 4), (2, 4), (4, 3)]), Err(AacError::ShortFrames));
    }

    proptest! {
        #[test]
        fn hostile_configurations_are_refused_not_fatal(
            bytes in prop::collection::vec(any::<u8>(), 0..24),
        ) {
            let _ = AacConfig::parse(&bytes.into());
        }
    }
}
