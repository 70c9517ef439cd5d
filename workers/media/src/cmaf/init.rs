//! Init segments, CMAF's header (ISO 23000-19 §7.3.1): `ftyp` and `moov` of
//! one track, without samples, times or edit list.

use bytes::Bytes;

use super::boxes::BoxWriter;
use crate::aac::AacConfig;
use crate::avc::AvcConfig;

/// Ticks per second of video parts.
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// The transformation that changes nothing (ISO 14496-12 §6.2.2).
const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `und` in three times five bits (§8.4.2.3).
const UNDETERMINED: u16 = 0x55c4;

/// What differs between the two kinds of track.
struct Track<'a> {
    timescale: u32,
    handler: &'a [u8; 4],
    name: &'a [u8],
    /// 8.8 fixed point.
    volume: u16,
    /// Pixels.
    size: (u32, u32),
}

/// The init segment of H.264 in ticks of [`VIDEO_TIMESCALE`]. Parameter sets
/// stand here only (`avc1`), with the configuration record as it came.
pub fn video_init(config: &AvcConfig) -> Bytes {
    let track = Track {
        timescale: VIDEO_TIMESCALE,
        handler: b"vide",
        name: b"Millrace video\0",
        volume: 0,
        size: (config.width(), config.height()),
    };
    init(&track, |w| w.full(*b"vmhd", 0, 1, |w| _ = w.zeros(8)), |w| avc1(w, config))
}

/// The init segment of AAC, in ticks of its sample rate.
pub fn audio_init(config: &AacConfig) -> Bytes {
    let track = Track {
        timescale: config.sample_rate(),
        handler: b"soun",
        name: b"Millrace audio\0",
        volume: 0x0100,
        size: (0, 0),
    };
    init(&track, |w| w.full(*b"smhd", 0, 0, |w| _ = w.zeros(4)), |w| mp4a(w, config))
}

fn init(
    track: &Track<'_>,
    media_header: impl FnOnce(&mut BoxWriter),
    sample_entry: impl FnOnce(&mut BoxWriter),
) -> Bytes {
    let mut w = BoxWriter::with_capacity(1_024);
    w.plain(*b"ftyp", |w| {
        w.bytes(b"iso6").u32(0).bytes(b"iso6").bytes(b"cmfc");
    });
    w.plain(*b"moov", |w| {
        mvhd(w, track.timescale);
        w.plain(*b"trak", |w| {
            tkhd(w, track);
            w.plain(*b"mdia", |w| {
                // No creation times: equal content must have equal bytes.
                w.full(*b"mdhd", 0, 0, |w| {
                    w.zeros(8).u32(track.timescale).u32(0).u16(UNDETERMINED).u16(0);
                });
                w.full(*b"hdlr", 0, 0, |w| {
                    w.u32(0).bytes(track.handler).zeros(12).bytes(track.name);
                });
                w.plain(*b"minf", |w| {
                    media_header(w);
                    data_information(w);
                    sample_table(w, sample_entry);
                });
            });
        });
        w.plain(*b"mvex", |w| {
            // Defaults stand in each `tfhd`; here only the sample entry's number.
            w.full(*b"trex", 0, 0, |w| _ = w.u32(1).u32(1).zeros(12));
        });
    });
    w.finish()
}

/// §8.2.2: rate 1, volume 1, next track 2.
fn mvhd(w: &mut BoxWriter, timescale: u32) {
    w.full(*b"mvhd", 0, 0, |w| {
        w.zeros(8).u32(timescale).u32(0).u32(0x1_0000).u16(0x0100).zeros(10);
        for n in UNITY {
            w.u32(n);
        }
        w.zeros(24).u32(2);
    });
}

/// §8.3.2: enabled, in the movie, in the preview; track 1.
fn tkhd(w: &mut BoxWriter, track: &Track<'_>) {
    w.full(*b"tkhd", 0, 7, |w| {
        w.zeros(8).u32(1).u32(0).u32(0).zeros(8);
        w.u16(0).u16(0).u16(track.volume).u16(0);
        for n in UNITY {
            w.u32(n);
        }
        // 16.16 fixed point
        w.u32(track.size.0 << 16).u32(track.size.1 << 16);
    });
}

/// §8.7: the media is in this file.
fn data_information(w: &mut BoxWriter) {
    w.plain(*b"dinf", |w| {
        w.full(*b"dref", 0, 0, |w| {
            w.u32(1);
            w.full(*b"url ", 0, 1, |_| {});
        });
    });
}

/// §8.5 to §8.7: one sample entry, no samples.
fn sample_table(w: &mut BoxWriter, sample_entry: impl FnOnce(&mut BoxWriter)) {
    w.plain(*b"stbl", |w| {
        w.full(*b"stsd", 0, 0, |w| {
            w.u32(1);
            sample_entry(w);
        });
        w.full(*b"stts", 0, 0, |w| _ = w.u32(0));
        w.full(*b"stsc", 0, 0, |w| _ = w.u32(0));
        w.full(*b"stsz", 0, 0, |w| _ = w.u32(0).u32(0));
        w.full(*b"stco", 0, 0, |w| _ = w.u32(0));
    });
}

/// VisualSampleEntry (§12.1.3) with AVCConfigurationBox (ISO 14496-15 §5.4.2).
fn avc1(w: &mut BoxWriter, config: &AvcConfig) {
    let side = |pixels| u16::try_from(pixels).unwrap_or(u16::MAX);
    w.plain(*b"avc1", |w| {
        w.zeros(6).u16(1).zeros(16);
        w.u16(side(config.width())).u16(side(config.height()));
        // 72 dpi, one frame per sample, no compressor name, 24 bit colour
        w.u32(0x48_0000).u32(0x48_0000).u32(0).u16(1).zeros(32).u16(0x18).u16(0xffff);
        w.plain(*b"avcC", |w| _ = w.bytes(config.record()));
    });
}

/// AudioSampleEntry (§12.2.3) with ESDBox (ISO 14496-14 §6.7.2).
fn mp4a(w: &mut BoxWriter, config: &AacConfig) {
    w.plain(*b"mp4a", |w| {
        w.zeros(6).u16(1).zeros(8);
        w.u16(config.channels().into()).u16(16).u32(0);
        // 16.16 fixed point; a rate that doesn't fit is in the timescale only.
        w.u16(u16::try_from(config.sample_rate()).unwrap_or(0)).u16(0);
        w.full(*b"esds", 0, 0, |w| {
            w.descriptor(3, |w| {
                w.u16(0).u8(0);
                w.descriptor(4, |w| {
                    // AAC, audio stream, buffer size and bit rates unsaid
                    w.u8(0x40).u8(0x15).zeros(3).u32(0).u32(0);
                    w.descriptor(5, |w| _ = w.bytes(config.bytes()));
                });
                w.descriptor(6, |w| _ = w.u8(2));
            });
        });
    });
}
