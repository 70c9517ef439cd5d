//! Frames of silence, as ffmpeg hears them.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

mod ffmpeg;

use bytes::Bytes;
use millrace_media::aac::silent_frame;
use millrace_media::flv::{AudioPacket, AudioTag, FileWriter};
use millrace_media::record::Track;

/// AudioSpecificConfig of AAC-LC at 48 kHz.
fn config(channels: u8) -> Bytes {
    // Configuration 7 is the one of eight channels.
    vec![0x11, 0x80 | channels.min(7) << 3].into()
}

fn decode(channels: u8, frames: u32) -> Vec<u8> {
    let silence = silent_frame(channels).unwrap();
    let mut file = FileWriter::new(false, true);
    let mut write = |ms, packet| {
        file.write(Track::Audio, ms, &AudioTag { packet }.to_body()).unwrap();
    };
    write(0, AudioPacket::Config(config(channels)));
    for n in 0..frames {
        write(n * 1_024 / 48, AudioPacket::Frame(silence.clone()));
    }
    let arguments = "-v warning -xerror -err_detect explode -f flv -i pipe:0 -f s16le pipe:1";
    let arguments: Vec<_> = arguments.split(' ').collect();
    ffmpeg::run("ffmpeg", &arguments, &file.take())
}

#[test]
fn a_silent_frame_decodes_to_1024_samples_of_digital_silence() {
    for channels in [1, 2, 3, 4, 5, 6, 8] {
        let pcm = decode(channels, 20);
        assert_eq!(pcm.len(), 20 * 1_024 * 2 * usize::from(channels));
        assert!(pcm.iter().all(|b| *b == 0), "{channels} channels");
    }
}

#[test]
fn a_layout_that_has_no_configuration_has_no_silent_frame() {
    for channels in [0, 7, 9] {
        assert_eq!(silent_frame(channels), None);
    }
}
