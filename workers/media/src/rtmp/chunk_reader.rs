//! Chunks to messages (RTMP §5.3).
//!
//! Messages of several chunk streams may be interleaved chunk by chunk; each
//! chunk stream has its own unfinished message. Payload bytes go straight from
//! the input into it; only a chunk header is ever held apart.

mod header;

use bytes::Bytes;

use super::chunk_writer::DEFAULT_CHUNK_SIZE;
use super::limits::Limits;
use super::message::{Message, MessageType};
use header::{ChunkHeader, HeaderBuffer};

/// Smallest and largest chunk size accepted. RTMP §5.4.1 wants at least 128
/// and allows up to 16 MiB, which no encoder uses.
pub const CHUNK_SIZES: std::ops::RangeInclusive<u32> = 128..=1024 * 1024;

/// First allocation for a message. It then grows with what arrives.
const FIRST_ALLOCATION: usize = 4 * 1024;

/// Why bytes are not chunks, or more than a peer may send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A type 2 or 3 chunk on a chunk stream that had none before (RTMP §5.3.1.2).
    #[error("chunk stream {csid} starts with a type {fmt} chunk")]
    NoPrecedingHeader {
        /// The chunk stream.
        csid: u32,
        /// The chunk's type.
        fmt: u8,
    },
    /// A new message begins before the one before it is whole.
    #[error("chunk stream {csid}: a type {fmt} chunk inside an unfinished message")]
    HeaderInsideMessage {
        /// The chunk stream.
        csid: u32,
        /// The chunk's type.
        fmt: u8,
    },
    /// More chunk streams than [`Limits::chunk_streams`].
    #[error("chunk stream {csid} is one more than the {limit} allowed")]
    TooManyChunkStreams {
        /// The chunk stream.
        csid: u32,
        /// The limit.
        limit: usize,
    },
    /// A message announces more than its type may have.
    #[error("message of type {kind:?} and {length} bytes is over the limit of {limit}")]
    MessageTooLarge {
        /// The message's type.
        kind: MessageType,
        /// Announced length in bytes.
        length: u32,
        /// The limit in bytes.
        limit: usize,
    },
    /// All unfinished messages together are over their limit.
    #[error("unfinished messages hold more than {0} bytes")]
    PartialMessages(usize),
    /// A chunk size outside [`CHUNK_SIZES`].
    #[error("chunk size {0} is not between {min} and {max}", min = CHUNK_SIZES.start(), max = CHUNK_SIZES.end())]
    ChunkSize(u32),
}

/// What a chunk stream remembers between chunks (RTMP §5.3.1.2).
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    header: ChunkHeader,
    /// The message that is not whole yet.
    partial: Option<Vec<u8>>,
}

/// Reads the chunks of one connection.
#[derive(Debug)]
pub struct ChunkReader {
    limits: Limits,
    trusted: bool,
    chunk_size: u32,
    header: HeaderBuffer,
    /// Position in `streams` and bytes missing of the chunk being read.
    current: Option<(usize, usize)>,
    streams: Vec<ChunkStream>,
    partial_bytes: usize,
}

impl ChunkReader {
    /// With the limits of a peer that is still a stranger.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            trusted: false,
            chunk_size: DEFAULT_CHUNK_SIZE,
            header: HeaderBuffer::default(),
            current: None,
            streams: Vec::new(),
            partial_bytes: 0,
        }
    }

    /// The peer is an accepted publisher: the media limits apply from here.
    pub fn trust(&mut self) {
        self.trusted = true;
    }

    /// The peer announced its chunk size (RTMP §5.4.1).
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        if !CHUNK_SIZES.contains(&size) {
            return Err(ChunkError::ChunkSize(size));
        }
        self.chunk_size = size;
        Ok(())
    }

    /// The peer gives up its unfinished message on this chunk stream (RTMP
    /// §5.4.2).
    pub fn abort(&mut self, csid: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|s| s.id == csid) {
            let dropped = stream.partial.take().map_or(0, |p| p.len());
            self.partial_bytes = self.partial_bytes.saturating_sub(dropped);
        }
    }

    /// Bytes held in unfinished messages.
    pub fn partial_bytes(&self) -> usize {
        self.partial_bytes
    }

    /// Reads from the front of `input` until a message is whole or the input
    /// is used up.
    ///
    /// # Errors
    /// When the chunk stream is malformed or over a limit; it can't be
    /// followed any further.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            let (index, missing) = match self.current {
                Some(current) => current,
                None => match self.read_header(input)? {
                    Some(begun) => begun,
                    None => return Ok(None),
                },
            };
            let (piece, rest) = input.split_at(missing.min(input.len()));
            *input = rest;
            let message = self.append(index, piece)?;
            self.current = Some((index, missing - piece.len())).filter(|(_, left)| *left > 0);
            if message.is_some() || self.current.is_some() {
                return Ok(message);
            }
        }
    }

    /// Reads one chunk header; returns its chunk stream's position and the
    /// length of the chunk's payload.
    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<(usize, usize)>, ChunkError> {
        let streams = &self.streams;
        let extended = |csid| streams.iter().any(|s| s.id == csid && s.header.extended);
        let Some(raw) = self.header.read(input, extended) else { return Ok(None) };
        let (csid, fmt) = (raw.csid, raw.fmt);
        let index = match self.streams.iter().position(|s| s.id == csid) {
            Some(index) => index,
            // Some librtmp versions open a chunk stream with type 1: stream 0,
            // time from 0.
            None if fmt <= 1 => self.add_stream(csid)?,
            None => return Err(ChunkError::NoPrecedingHeader { csid, fmt }),
        };
        let limits = (self.limits, self.trusted);
        let Some(stream) = self.streams.get_mut(index) else { return Ok(None) };
        if stream.partial.is_none() {
            stream.header.begin(&raw);
            check_length(&stream.header, limits.0, limits.1)?;
            stream.partial = Some(Vec::new());
        } else if fmt != 3 {
            return Err(ChunkError::HeaderInsideMessage { csid, fmt });
        }
        let have = stream.partial.as_ref().map_or(0, Vec::len);
        let missing = to_usize(stream.header.length).saturating_sub(have);
        Ok(Some((index, missing.min(to_usize(self.chunk_size)))))
    }

    fn add_stream(&mut self, csid: u32) -> Result<usize, ChunkError> {
        let limit = self.limits.chunk_streams;
        if self.streams.len() >= limit {
            return Err(ChunkError::TooManyChunkStreams { csid, limit });
        }
        self.streams.push(ChunkStream { id: csid, header: ChunkHeader::default(), partial: None });
        Ok(self.streams.len() - 1)
    }

    /// Adds payload to the unfinished message; returns it when it is whole.
    fn append(&mut self, index: usize, piece: &[u8]) -> Result<Option<Message>, ChunkError> {
        let limit = if self.trusted { self.limits.partial_messages } else { self.limits.stranger };
        self.partial_bytes += piece.len();
        if self.partial_bytes > limit {
            return Err(ChunkError::PartialMessages(limit));
        }
        let Some(stream) = self.streams.get_mut(index) else { return Ok(None) };
        let length = to_usize(stream.header.length);
        let Some(partial) = stream.partial.as_mut() else { return Ok(None) };
        grow(partial, piece.len(), length);
        partial.extend_from_slice(piece);
        if partial.len() < length {
            return Ok(None);
        }
        self.partial_bytes = self.partial_bytes.saturating_sub(length);
        let payload = Bytes::from(stream.partial.take().unwrap_or_default());
        Ok(Some(Message {
            kind: stream.header.kind,
            stream_id: stream.header.stream_id,
            timestamp: stream.header.timestamp,
            payload,
        }))
    }
}

/// Makes room for `more` bytes: doubling, but never past the announced length,
/// so a whole message wastes nothing and an announced one costs little.
fn grow(partial: &mut Vec<u8>, more: usize, length: usize) {
    let needed = partial.len() + more;
    if needed > partial.capacity() {
        let target = needed.max(partial.capacity() * 2).max(FIRST_ALLOCATION).min(length);
        partial.reserve_exact(target.saturating_sub(partial.len()));
    }
}

fn check_length(header: &ChunkHeader, limits: Limits, trusted: bool) -> Result<(), ChunkError> {
    let limit = match (header.kind.is_media(), trusted) {
        (true, true) => limits.media_message,
        (true, false) => limits.stranger,
        (false, _) => limits.command_message,
    };
    if to_usize(header.length) > limit {
        let (kind, length) = (header.kind, header.length);
        return Err(ChunkError::MessageTooLarge { kind, length, limit });
    }
    Ok(())
}

fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
