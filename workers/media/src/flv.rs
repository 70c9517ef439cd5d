//! FLV: the tag bodies RTMP carries, and the file form ffmpeg reads and writes
//! on pipes (Adobe Flash Video File Format Specification 10.1, Annex E).
//!
//! [`VideoTag`] and [`AudioTag`] open one body. [`FileWriter`] and
//! [`FileReader`] turn [`Tag`]s into a file's bytes and back, piece by piece.
//! Codecs other than H.264 and AAC are named in the error and go no further.

mod audio;
mod file;
mod video;

pub use audio::{AudioPacket, AudioTag};
pub use file::{FileReader, FileWriter, MAX_BODY, Tag};
pub(crate) use video::COMPOSITION_MS;
pub use video::{FrameType, VideoPacket, VideoTag};

/// Why bytes are not FLV that this code can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    /// The body ends before its own header does.
    #[error("FLV {what} of {length} bytes is too short")]
    Short {
        /// Which header.
        what: &'static str,
        /// Bytes there are.
        length: usize,
    },
    /// A video codec of the FLV specification other than AVC.
    #[error("video codec {id} ({name}) is not supported; publish H.264")]
    VideoCodec {
        /// CodecID, Annex E.4.3.1.
        id: u8,
        /// Its name.
        name: &'static str,
    },
    /// A video frame with an Enhanced RTMP header (HEVC, AV1, VP9, …).
    #[error("enhanced RTMP video ({four_cc}) is not supported; publish H.264 in plain RTMP")]
    EnhancedVideo {
        /// The codec's FourCC as printable text, `?` for what is not.
        four_cc: String,
    },
    /// An audio codec other than AAC.
    #[error("audio codec {id} ({name}) is not supported; publish AAC")]
    AudioCodec {
        /// SoundFormat, Annex E.4.2.1.
        id: u8,
        /// Its name.
        name: &'static str,
    },
    /// A composition time that no decoder's reordering explains, in ms.
    #[error("FLV composition time of {0} ms is not within 10 s")]
    Composition(i32),
    /// A frame type outside 1 to 5.
    #[error("FLV video frame type {0} does not exist")]
    FrameType(u8),
    /// A packet type of AVC or AAC that does not exist.
    #[error("FLV {codec} packet type {packet_type} does not exist")]
    PacketType {
        /// `AVC` or `AAC`.
        codec: &'static str,
        /// What was found.
        packet_type: u8,
    },
    /// The file does not begin as FLV does.
    #[error("not an FLV file: {0}")]
    FileHeader(&'static str),
    /// Neither audio, video nor script data.
    #[error("FLV tag type {0} does not exist")]
    TagType(u8),
    /// A tag body longer than the reader accepts, or than 24 bits can say.
    #[error("FLV tag body of {length} bytes is longer than {max}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most accepted.
        max: usize,
    },
    /// The size behind a tag is not the tag's: the reader lost its place.
    #[error("FLV tag of {tag} bytes is followed by a size of {found}")]
    BackPointer {
        /// The tag's length with its header.
        tag: usize,
        /// What the file says.
        found: u32,
    },
}
