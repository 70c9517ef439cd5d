//! Chunk headers (RTMP §5.3.1).

use crate::rtmp::chunk_writer::EXTENDED;
use crate::rtmp::message::MessageType;

/// Basic header (3) + message header (11) + extended timestamp (4).
const MAX_HEADER: usize = 18;

/// Collects one chunk header, however the input is cut.
#[derive(Debug, Default)]
pub(super) struct HeaderBuffer {
    bytes: Vec<u8>,
}

/// A chunk header as it was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawHeader {
    pub(super) fmt: u8,
    pub(super) csid: u32,
    /// Timestamp or delta, the extended one when there is one; 0 on type 3.
    time: u32,
    extended: bool,
    length: u32,
    kind: u8,
    stream_id: u32,
}

impl HeaderBuffer {
    /// Takes header bytes off the front of `input`; returns the header when it
    /// is whole. `extended` tells whether the type 3 chunks of a chunk stream
    /// carry an extended timestamp (RTMP §5.3.1.3).
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        extended: impl Fn(u32) -> bool,
    ) -> Option<RawHeader> {
        loop {
            let missing = self.expected(&extended).saturating_sub(self.bytes.len());
            if missing == 0 {
                let header = self.parse();
                self.bytes.clear();
                return Some(header);
            }
            if input.is_empty() {
                return None;
            }
            let (piece, rest) = input.split_at(missing.min(input.len()));
            self.bytes.reserve_exact(MAX_HEADER.saturating_sub(self.bytes.len()));
            self.bytes.extend_from_slice(piece);
            *input = rest;
        }
    }

    fn fmt(&self) -> u8 {
        self.bytes.first().map_or(0, |b| b >> 6)
    }

    /// Length of the basic header (RTMP §5.3.1.1).
    fn basic_len(&self) -> usize {
        match self.bytes.first().map(|b| b & 0x3f) {
            Some(0) => 2,
            Some(1) => 3,
            _ => 1,
        }
    }

    fn csid(&self) -> u32 {
        let byte = |at: usize| self.bytes.get(at).copied().map_or(0, u32::from);
        match self.basic_len() {
            1 => byte(0) & 0x3f,
            2 => byte(1) + 64,
            _ => byte(2) * 256 + byte(1) + 64,
        }
    }

    /// Length of the message header (RTMP §5.3.1.2).
    fn message_len(&self) -> usize {
        match self.fmt() {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        }
    }

    /// The header's length, as far as the bytes so far tell.
    fn expected(&self, extended: impl Fn(u32) -> bool) -> usize {
        if self.bytes.is_empty() {
            return 1;
        }
        let basic = self.basic_len();
        if self.bytes.len() < basic {
            return basic;
        }
        let extended = if self.fmt() == 3 {
            extended(self.csid())
        } else {
            self.bytes.get(basic..basic + 3) == Some(&[0xff; 3])
        };
        basic + self.message_len() + if extended { 4 } else { 0 }
    }

    fn parse(&self) -> RawHeader {
        let basic = self.basic_len();
        let end = basic + self.message_len();
        let field = |from: usize, to: usize| {
            let bytes = self.bytes.get(from..to).unwrap_or_default();
            bytes.iter().fold(0, |value: u32, b| (value << 8) | u32::from(*b))
        };
        let time = field(basic, basic + 3);
        let extended = time == EXTENDED;
        RawHeader {
            fmt: self.fmt(),
            csid: self.csid(),
            time: if extended { field(end, end + 4) } else { time },
            extended,
            length: field(basic + 3, basic + 6),
            kind: self.bytes.get(basic + 6).copied().unwrap_or_default(),
            // Little-endian (RTMP §5.3.1.2.1).
            stream_id: field(basic + 7, basic + 11).swap_bytes(),
        }
    }
}

/// What the next chunks of a chunk stream inherit (RTMP §5.3.1.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkHeader {
    /// Time of the message begun last.
    pub(super) timestamp: u32,
    /// What a message that begins with a type 3 chunk adds.
    delta: u32,
    pub(super) extended: bool,
    pub(super) length: u32,
    pub(super) kind: MessageType,
    pub(super) stream_id: u32,
}

impl Default for ChunkHeader {
    fn default() -> Self {
        Self {
            timestamp: 0,
            delta: 0,
            extended: false,
            length: 0,
            kind: MessageType::Other(0),
            stream_id: 0,
        }
    }
}

impl ChunkHeader {
    /// A message begins with this header. Called once per message, so that a
    /// delta counts once however many chunks follow.
    pub(super) fn begin(&mut self, raw: &RawHeader) {
        if raw.fmt == 0 {
            self.stream_id = raw.stream_id;
        }
        if raw.fmt <= 1 {
            self.length = raw.length;
            self.kind = MessageType::from_id(raw.kind);
        }
        if raw.fmt <= 2 {
            // After a type 0 chunk its timestamp is the delta of a type 3 one
            // that begins a message (RTMP §5.3.1.2.4).
            self.delta = raw.time;
            self.extended = raw.extended;
        }
        self.timestamp =
            if raw.fmt == 0 { raw.time } else { self.timestamp.wrapping_add(self.delta) };
    }
}
