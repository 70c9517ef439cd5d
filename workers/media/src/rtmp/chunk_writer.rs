//! Messages to chunks (RTMP §5.3).
//!
//! A server that only takes publishers says little, so every message starts
//! with a full type 0 header: any client can follow it from anywhere.

use bytes::{BufMut, BytesMut};

use super::message::{Message, MessageType};

/// Chunk size before any Set Chunk Size (RTMP §5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;
/// The value of a timestamp field that says the extended one follows (RTMP
/// §5.3.1.3).
pub const EXTENDED: u32 = 0xff_ffff;

/// Writes messages as chunks.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_CHUNK_SIZE }
    }
}

impl ChunkWriter {
    /// For every message after the Set Chunk Size that announces it.
    pub fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = size.max(1);
    }

    /// Appends the message's chunks.
    pub fn write(&self, message: &Message, out: &mut BytesMut) {
        let csid = chunk_stream(message.kind);
        let extended = message.timestamp >= EXTENDED;
        out.put_u8(csid);
        out.put_uint(u64::from(message.timestamp.min(EXTENDED)), 3);
        out.put_uint(u64::try_from(message.payload.len()).unwrap_or(u64::MAX), 3);
        out.put_u8(message.kind.id());
        // The one little-endian field (RTMP §5.3.1.2.1).
        out.put_u32_le(message.stream_id);
        if extended {
            out.put_u32(message.timestamp);
        }
        let size = usize::try_from(self.chunk_size).unwrap_or(usize::MAX);
        for (number, chunk) in message.payload.chunks(size).enumerate() {
            if number > 0 {
                out.put_u8(0b1100_0000 | csid);
                if extended {
                    out.put_u32(message.timestamp);
                }
            }
            out.extend_from_slice(chunk);
        }
    }
}

/// Protocol control belongs on 2 (RTMP §5.4); the rest is custom.
fn chunk_stream(kind: MessageType) -> u8 {
    match kind {
        MessageType::SetChunkSize
        | MessageType::Abort
        | MessageType::Acknowledgement
        | MessageType::UserControl
        | MessageType::WindowAckSize
        | MessageType::SetPeerBandwidth => 2,
        _ => 3,
    }
}
