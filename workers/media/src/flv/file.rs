//! The file form of FLV (Annex E.2 to E.4.1), for ffmpeg's stdin and stdout.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FlvError;
use crate::record::Track;

/// Longest body a tag can have: its length is a 24-bit number.
pub const MAX_BODY: usize = 0x00ff_ffff;

const FILE_HEADER: usize = 9;
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const SCRIPT: u8 = 18;

/// One tag of an FLV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Audio or video.
    pub track: Track,
    /// Decode time in ms; wraps after 49.7 days. ffmpeg reads it as signed.
    pub timestamp_ms: u32,
    /// What [`super::VideoTag`] or [`super::AudioTag`] opens.
    pub body: Bytes,
}

/// Makes the bytes of an FLV file out of tags.
#[derive(Debug)]
pub struct FileWriter {
    out: BytesMut,
}

impl FileWriter {
    /// A file that announces these tracks. ffmpeg probes for the announced
    /// ones, so announcing a track that never comes delays its start.
    pub fn new(video: bool, audio: bool) -> Self {
        let mut out = BytesMut::with_capacity(64 * 1024);
        out.put_slice(b"FLV\x01");
        out.put_u8(u8::from(audio) << 2 | u8::from(video));
        out.put_u32(9);
        out.put_u32(0);
        Self { out }
    }

    /// Appends a tag. Fails when the body is longer than [`MAX_BODY`].
    pub fn write(&mut self, track: Track, timestamp_ms: u32, body: &[u8]) -> Result<(), FlvError> {
        let too_long = FlvError::TooLong { length: body.len(), max: MAX_BODY };
        if body.len() > MAX_BODY {
            return Err(too_long);
        }
        let length = u32::try_from(body.len()).map_err(|_| too_long)?;
        let [extended, time @ ..] = timestamp_ms.to_be_bytes();
        self.out.reserve(TAG_HEADER + body.len() + BACK_POINTER);
        self.out.put_u8(match track {
            Track::Audio => AUDIO,
            Track::Video => VIDEO,
        });
        self.out.put_uint(length.into(), 3);
        self.out.put_slice(&time);
        self.out.put_u8(extended);
        self.out.put_uint(0, 3); // StreamID
        self.out.put_slice(body);
        self.out.put_u32(length + 11);
        Ok(())
    }

    /// Takes the bytes made since the last call; the first begin with the file
    /// header.
    pub fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }
}

/// Finds the tags in an FLV file that arrives in pieces.
///
/// Push bytes, then pop tags until there are none: so no more than one tag and
/// one push are ever held. After an error the reader is of no further use.
#[derive(Debug)]
pub struct FileReader {
    buffer: BytesMut,
    max_body: usize,
    header_seen: bool,
}

impl FileReader {
    /// Refuses bodies longer than `max_body` bytes.
    pub fn new(max_body: usize) -> Self {
        Self { buffer: BytesMut::new(), max_body, header_seen: false }
    }

    /// More of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next audio or video tag, or `None` until more is pushed. Script
    /// tags are skipped.
    pub fn pop(&mut self) -> Result<Option<Tag>, FlvError> {
        if !self.header_seen && !self.skip_file_header()? {
            return Ok(None);
        }
        loop {
            match self.pop_any()? {
                Some((AUDIO, timestamp_ms, body)) => {
                    return Ok(Some(Tag { track: Track::Audio, timestamp_ms, body }));
                }
                Some((VIDEO, timestamp_ms, body)) => {
                    return Ok(Some(Tag { track: Track::Video, timestamp_ms, body }));
                }
                Some((SCRIPT, ..)) => {}
                Some((other, ..)) => return Err(FlvError::TagType(other)),
                None => return Ok(None),
            }
        }
    }

    /// Bytes of an unfinished tag; 0 at a clean end of file.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the header and the first back pointer are behind us.
    fn skip_file_header(&mut self) -> Result<bool, FlvError> {
        let mut peek = self.buffer.as_ref();
        if peek.len() < FILE_HEADER + BACK_POINTER {
            return Ok(false);
        }
        if !peek.starts_with(b"FLV\x01") {
            return Err(FlvError::FileHeader("signature or version"));
        }
        peek.advance(5);
        if usize::try_from(peek.get_u32()) != Ok(FILE_HEADER) {
            return Err(FlvError::FileHeader("header length"));
        }
        self.buffer.advance(FILE_HEADER + BACK_POINTER);
        self.header_seen = true;
        Ok(true)
    }

    /// The next tag of any type: type, time, body.
    fn pop_any(&mut self) -> Result<Option<(u8, u32, Bytes)>, FlvError> {
        let mut peek = self.buffer.as_ref();
        if peek.len() < TAG_HEADER {
            return Ok(None);
        }
        let tag_type = peek.get_u8();
        if ![AUDIO, VIDEO, SCRIPT].contains(&tag_type) {
            // Known before the body is there, so a lost place costs no memory.
            return Err(FlvError::TagType(tag_type));
        }
        let length = usize::try_from(peek.get_uint(3)).unwrap_or(usize::MAX);
        if length > self.max_body {
            return Err(FlvError::TooLong { length, max: self.max_body });
        }
        let low = peek.get_uint(3);
        let time = u32::try_from(u64::from(peek.get_u8()) << 24 | low).unwrap_or_default();
        if self.buffer.len() < TAG_HEADER + length + BACK_POINTER {
            return Ok(None);
        }
        self.buffer.advance(TAG_HEADER);
        let body = self.buffer.split_to(length).freeze();
        let found = self.buffer.get_u32();
        if usize::try_from(found) != Ok(TAG_HEADER + length) {
            return Err(FlvError::BackPointer { tag: TAG_HEADER + length, found });
        }
        Ok(Some((tag_type, time, body)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(tags: &[Tag]) -> Bytes {
        let mut writer = FileWriter::new(true, true);
        for tag in tags {
            writer.write(tag.track, tag.timestamp_ms, &tag.body).unwrap();
        }
        writer.take()
    }

    fn any_tag() -> impl Strategy<Value = Tag> {
        (any::<bool>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(video, timestamp_ms, body)| Tag {
                track: if video { Track::Video } else { Track::Audio },
                timestamp_ms,
                body: body.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_pieces_of_any_size(
            tags in prop::collection::vec(any_tag(), 0..8),
            piece in 1_usize..64,
        ) {
            let mut reader = FileReader::new(MAX_BODY);
            let mut read = Vec::new();
            for bytes in file(&tags).chunks(piece) {
                reader.push(bytes);
                while let Some(tag) = reader.pop().unwrap() {
                    read.push(tag);
                }
            }
            prop_assert_eq!(read, tags);
            prop_assert_eq!(reader.pending(), 0);
        }

        #[test]
        fn hostile_bytes_end_in_an_error_or_wait_for_more(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut reader = FileReader::new(256);
            reader.push(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.pop() {}
        }
    }

    #[test]
    fn script_tags_are_skipped_and_long_ones_refused() {
        let mut reader = FileReader::new(4);
        reader.push(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        reader.push(&[18, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 12]);
        assert_eq!(reader.pop(), Ok(None));
        assert_eq!(reader.pending(), 0);
        reader.push(&[9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(reader.pop(), Err(FlvError::TooLong { length: 5, max: 4 }));
    }
}
