//! FLV and what its tags carry; fragmented MP4.

use bytes::Bytes;
use millrace_media::aac::AacConfig;
use millrace_media::avc::AvcConfig;
use millrace_media::cmaf;
use millrace_media::flv::{AudioPacket, AudioTag, FileReader, FileWriter, VideoPacket, VideoTag};
use millrace_media::record::Track;

use crate::fragment::Init;

/// Longest tag body of the file.
const MAX_BODY: usize = 1 << 16;

/// A file as an encoder pipes it; the first byte says how much comes at once.
pub(crate) fn flv(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let mut reader = FileReader::new(MAX_BODY);
    for piece in data.chunks(usize::from(*how) * 31 + 1) {
        reader.push(piece);
        loop {
            match reader.pop() {
                Ok(Some(tag)) => {
                    assert!(tag.body.len() <= MAX_BODY);
                    self::tag(tag.track, tag.timestamp_ms, &tag.body);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(reader.pending() <= MAX_BODY + piece.len() + 64, "unbounded reader");
    }
}

fn tag(track: Track, stamp: u32, body: &Bytes) {
    let mut file = FileWriter::new(true, true);
    file.write(track, stamp, body).expect("a body that was read");
    let mut again = FileReader::new(MAX_BODY);
    again.push(&file.take());
    assert_eq!(again.pop().expect("its own file").map(|tag| tag.body), Some(body.clone()));
    match track {
        Track::Video => video(body),
        Track::Audio => sound(body),
    }
}

fn video(body: &Bytes) {
    let Ok(tag) = VideoTag::parse(body) else { return };
    assert_eq!(VideoTag::parse(&tag.to_body()).as_ref(), Ok(&tag));
    if let VideoPacket::Config(record) = &tag.packet
        && let Ok(config) = AvcConfig::parse(record)
    {
        let init = cmaf::video_init(&config);
        assert!(!init.is_empty() && config.codecs().starts_with("avc1."));
        let _ = config.has_idr(body);
    }
}

fn sound(body: &Bytes) {
    let Ok(tag) = AudioTag::parse(body) else { return };
    assert_eq!(AudioTag::parse(&tag.to_body()).as_ref(), Ok(&tag));
    if let AudioPacket::Config(config) = &tag.packet
        && let Ok(config) = AacConfig::parse(config)
    {
        assert!(!cmaf::audio_init(&config).is_empty());
        let _ = config.codecs();
    }
}

/// An init segment, with its length in front, and a part.
pub(crate) fn fmp4(data: &[u8]) {
    let Some(([high, low], rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (init, part) = rest.split_at(length);
    if let Ok(init) = Init::parse(init) {
        let _ = init.is_video();
        let _ = init.frames(part);
    }
}
