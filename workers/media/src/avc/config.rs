//! AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1) and what its first
//! sequence parameter set (H.264 §7.3.2.1.1, Annex E) says.

use bytes::{Buf, Bytes};
use h264_reader::nal::sps::{SeqParameterSet, TimingInfo};
use h264_reader::nal::{Nal, RefNal};

use super::{AvcError, has_idr, nal};
use crate::published::FrameRate;

/// Pixels a side.
const SIZES: std::ops::RangeInclusive<u32> = 16..=8_192;
/// Frames per second. ffmpeg writes its time base of 1/90000 as if it were
/// the frame rate; that must not reach a playlist.
const BELIEVABLE_FPS: std::ops::RangeInclusive<u32> = 1..=240;

/// A decoder configuration: its bytes, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvcConfig {
    record: Bytes,
    length_size: u8,
    /// profile_idc, constraint flags, level_idc.
    profile: [u8; 3],
    width: u32,
    height: u32,
    frame_rate: Option<FrameRate>,
}

impl AvcConfig {
    /// Bytes of a record that is believed: encoders' have fewer than 100. It
    /// travels with every checkpoint.
    pub const MAX_LEN: usize = 1_024;

    /// Reads a record and its first sequence parameter set.
    pub fn parse(record: &Bytes) -> Result<Self, AvcError> {
        if record.len() > Self::MAX_LEN {
            return Err(AvcError::TooLong(record.len()));
        }
        let mut rest = record.clone();
        let short = |_| AvcError::Short(record.len());
        let version = rest.try_get_u8().map_err(short)?;
        if version != 1 {
            return Err(AvcError::Version(version));
        }
        // Profile, compatibility and level stand again in the parameter set.
        rest.try_get_uint(3).map_err(short)?;
        let length_size = (rest.try_get_u8().map_err(short)? & 3) + 1;
        if length_size == 3 {
            return Err(AvcError::LengthSize(length_size));
        }
        let sps_count = rest.try_get_u8().map_err(short)? & 0x1f;
        let sps = first_of(&mut rest, sps_count, record.len())?
            .ok_or(AvcError::NoParameterSet("sequence"))?;
        let pps_count = rest.try_get_u8().map_err(short)?;
        first_of(&mut rest, pps_count, record.len())?.ok_or(AvcError::NoParameterSet("picture"))?;
        Self::with_sps(record, length_size, &sps)
    }

    fn with_sps(record: &Bytes, length_size: u8, nal: &Bytes) -> Result<Self, AvcError> {
        // A NAL unit can't end in zeros (H.264 §7.4.1); some writers leave some.
        let end = nal.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        let nal = nal.get(..end).unwrap_or_default();
        let profile = match nal {
            [header, profile, compatibility, level, ..] if header & 0x1f == nal::SPS => {
                [*profile, *compatibility, *level]
            }
            _ => return Err(AvcError::Sps("not a sequence parameter set".to_owned())),
        };
        let sps = SeqParameterSet::from_bits(RefNal::new(nal, &[], true).rbsp_bits())
            .map_err(|e| AvcError::Sps(format!("{e:?}")))?;
        let (width, height) = dimensions(&sps)?;
        let timing = sps.vui_parameters.as_ref().and_then(|vui| vui.timing_info.as_ref());
        Ok(Self {
            record: record.clone(),
            length_size,
            profile,
            width,
            height,
            frame_rate: timing.and_then(frame_rate),
        })
    }

    /// The record, byte for byte as parsed: the content of an `avcC` box.
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub fn length_size(&self) -> u8 {
        self.length_size
    }

    /// Width of the cropped picture in pixels, 16 to 8192.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the cropped picture in pixels, 16 to 8192.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// What the encoder claims, when it claims 1 to 240 frames per second.
    /// Publishers get it wrong: measured times are better.
    pub fn frame_rate(&self) -> Option<FrameRate> {
        self.frame_rate
    }

    /// The RFC 6381 §3.3 codecs string: `avc1.PPCCLL`.
    pub fn codecs(&self) -> String {
        format!("avc1.{}", hex::encode(self.profile))
    }

    /// Whether the access unit holds an IDR picture: a decoder can start here.
    pub fn has_idr(&self, access_unit: &[u8]) -> bool {
        has_idr(access_unit, self.length_size)
    }
}

/// Steps over `count` parameter sets and returns the first.
fn first_of(rest: &mut Bytes, count: u8, length: usize) -> Result<Option<Bytes>, AvcError> {
    let mut first = None;
    for _ in 0..count {
        let size = usize::from(rest.try_get_u16().map_err(|_| AvcError::Short(length))?);
        if rest.len() < size {
            return Err(AvcError::Short(length));
        }
        let set = rest.split_to(size);
        first.get_or_insert(set);
    }
    Ok(first)
}

fn dimensions(sps: &SeqParameterSet) -> Result<(u32, u32), AvcError> {
    // Checked before the library multiplies them.
    let macroblocks = |minus1: u32| (minus1 < 1 << 16).then_some(()).ok_or(minus1);
    macroblocks(sps.pic_width_in_mbs_minus1)
        .and_then(|()| macroblocks(sps.pic_height_in_map_units_minus1))
        .map_err(|n| AvcError::Sps(format!("{n} macroblocks a side")))?;
    let (width, height) = sps.pixel_dimensions().map_err(|e| AvcError::Sps(format!("{e:?}")))?;
    if SIZES.contains(&width) && SIZES.contains(&height) {
        Ok((width, height))
    } else {
        Err(AvcError::Size { width, height })
    }
}

/// A tick is a field (Annex E.2.1): two to a frame.
fn frame_rate(timing: &TimingInfo) -> Option<FrameRate> {
    let den = timing.num_units_in_tick.checked_mul(2)?;
    let num = timing.time_scale;
    let whole = num.checked_div(den)?;
    if !BELIEVABLE_FPS.contains(&whole) {
        return None;
    }
    let divisor = gcd(num, den);
    Some(FrameRate { num: num / divisor, den: den / divisor })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by x264: 854x480, High, level 3.1, 29.97 fps, 4-byte lengths.
    const RECORD: &str = "0164001fffe100196764001facd940d83de6f01100000303e90000ea600f1831960\
                          1000668eae3cb22c0fdf8f800";

    fn record() -> Vec<u8> {
        hex::decode(RECORD).unwrap()
    }

    #[test]
    fn a_record_says_size_rate_and_codec() {
        let config = AvcConfig::parse(&record().into()).unwrap();
        assert_eq!((config.width(), config.height()), (854, 480));
        assert_eq!(config.frame_rate(), Some(FrameRate { num: 30_000, den: 1_001 }));
        assert_eq!(config.codecs(), "avc1.64001f");
        assert_eq!(config.length_size(), 4);
        assert_eq!(config.record(), &record());
    }

    #[test]
    fn other_versions_and_lengths_are_refused() {
        let parse = |bytes: &[u8]| AvcConfig::parse(&Bytes::copy_from_slice(bytes)).unwrap_err();
        assert_eq!(parse(&[]), AvcError::Short(0));
        assert_eq!(parse(&[2, 0, 0, 0, 0, 0]), AvcError::Version(2));
        assert_eq!(parse(&[1, 0, 0, 0, 0xfe, 0xe0, 0]), AvcError::LengthSize(3));
        assert_eq!(parse(&[1, 0, 0, 0, 0xff, 0xe0, 0]), AvcError::NoParameterSet("sequence"));
        assert_eq!(parse(&[1, 0, 0, 0, 0xff, 0xe1, 0, 9, 0x67]), AvcError::Short(9));
    }

    #[test]
    fn a_time_base_is_not_taken_for_a_frame_rate() {
        let rate = |num_units_in_tick, time_scale| {
            frame_rate(&TimingInfo { num_units_in_tick, time_scale, fixed_frame_rate_flag: true })
        };
        assert_eq!(rate(1, 180_000), None);
        assert_eq!(rate(0, 50), None);
        assert_eq!(rate(1_001, 60_000), Some(FrameRate { num: 30_000, den: 1_001 }));
        assert_eq!(rate(1, 50), Some(FrameRate { num: 25, den: 1 }));
    }

    proptest! {
        #[test]
        fn hostile_records_are_refused_not_fatal(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let _ = AvcConfig::parse(&bytes.into());
        }

        #[test]
        fn a_damaged_parameter_set_is_refused_not_fatal(
            at in 8_usize..34,
            bytes in prop::collection::vec(any::<u8>(), 1..12),
        ) {
            let mut damaged = record();
            for (place, byte) in damaged.iter_mut().skip(at).zip(bytes) {
                *place = byte;
            }
            let _ = AvcConfig::parse(&damaged.into());
        }
    }
}
