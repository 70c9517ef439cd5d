//! Which codec a packet's first bytes name, as far as it takes to refuse what
//! is not H.264 and AAC (FLV 10.1 annex E.4.2, E.4.3; E-RTMP).

/// What the server takes, in words for a publisher.
pub const SUPPORTED: &str =
    "H.264 video and AAC audio in classic RTMP packets are supported; set the encoder to them";

/// A codec or packet form that is not taken, in words for a publisher: for
/// example `Enhanced-RTMP video "hvc1"` or `MP3 audio`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub(super) String);

/// The high bit of the first video byte: an Enhanced-RTMP packet, with a
/// FourCC behind it (E-RTMP, isExHeader).
const EX_HEADER: u8 = 0x80;
const FRAME_TYPE_INFO: u8 = 5;
const VIDEO_AVC: u8 = 7;
const AUDIO_AAC: u8 = 10;
/// Enhanced-RTMP's audio packets (E-RTMP v2, SoundFormat ExHeader).
const AUDIO_EX_HEADER: u8 = 9;

/// Looks at an FLV video tag body, which must not be empty to be refused.
///
/// # Errors
/// When it is not H.264 in the classic form.
pub fn check_video(payload: &[u8]) -> Result<(), Unsupported> {
    let Some(first) = payload.first() else { return Ok(()) };
    if first & EX_HEADER != 0 {
        return Err(Unsupported(format!("Enhanced-RTMP video{}", four_cc(payload))));
    }
    let frame_type = first >> 4;
    match first & 0x0f {
        VIDEO_AVC => Ok(()),
        // A command frame has no picture, whatever codec it names.
        _ if frame_type == FRAME_TYPE_INFO => Ok(()),
        2 => Err(Unsupported("Sorenson H.263 video".to_owned())),
        3 | 6 => Err(Unsupported("Screen video".to_owned())),
        4 | 5 => Err(Unsupported("VP6 video".to_owned())),
        // What Chinese CDNs use for HEVC; never specified.
        12 => Err(Unsupported("HEVC video (codec id 12)".to_owned())),
        id => Err(Unsupported(format!("video codec id {id}"))),
    }
}

/// Looks at an FLV audio tag body.
///
/// # Errors
/// When it is not AAC in the classic form.
pub fn check_audio(payload: &[u8]) -> Result<(), Unsupported> {
    let Some(first) = payload.first() else { return Ok(()) };
    let name = match first >> 4 {
        AUDIO_AAC => return Ok(()),
        AUDIO_EX_HEADER => {
            return Err(Unsupported(format!("Enhanced-RTMP audio{}", four_cc(payload))));
        }
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 => "G.711 A-law",
        8 => "G.711 mu-law",
        11 => "Speex",
        0 | 3 => "PCM",
        1 => "ADPCM",
        id => return Err(Unsupported(format!("audio codec id {id}"))),
    };
    Err(Unsupported(format!("{name} audio")))
}

/// The FourCC behind an extended header's first byte. Packets that put
/// something else there (multitrack, modifiers) stay unnamed.
fn four_cc(payload: &[u8]) -> String {
    match payload.get(1..5) {
        Some(code) if code.iter().all(u8::is_ascii_graphic) => {
            format!(" {:?}", String::from_utf8_lossy(code))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_h264_and_aac_pass() {
        assert_eq!(check_video(&[0x17, 0]), Ok(()));
        assert_eq!(check_video(&[0x27, 1]), Ok(()));
        assert_eq!(check_audio(&[0xaf, 0]), Ok(()));
    }

    #[test]
    fn enhanced_packets_are_named_by_their_fourcc() {
        let refused = |r: Result<(), Unsupported>| r.unwrap_err().to_string();
        assert_eq!(refused(check_video(b"\x90hvc1...")), "Enhanced-RTMP video \"hvc1\"");
        assert_eq!(refused(check_video(b"\x91")), "Enhanced-RTMP video");
        assert_eq!(refused(check_audio(b"\x90Opus")), "Enhanced-RTMP audio \"Opus\"");
        assert_eq!(refused(check_audio(&[0x2f])), "MP3 audio");
        assert_eq!(refused(check_video(&[0x12])), "Sorenson H.263 video");
    }
}
