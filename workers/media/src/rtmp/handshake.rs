//! The simple handshake, server side (RTMP §5.2).
//!
//! S1's second field is zero, which tells clients that know the later digest
//! handshake (ffmpeg, Flash) that this server speaks the specified one; so C2
//! is not compared with S1.

use bytes::BytesMut;

/// The protocol version spoken (RTMP §5.2.2).
pub const VERSION: u8 = 3;
/// Bytes of C1, C2, S1 and S2 (RTMP §5.2.3, §5.2.4).
pub const PACKET_LEN: usize = 1536;

/// Why a handshake fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// C0 asks for another protocol; also what a browser or a scanner looks
    /// like.
    #[error("the peer's first byte is {0:#04x}, not RTMP version {VERSION}")]
    Version(u8),
}

#[derive(Debug)]
enum State {
    C0,
    C1(Vec<u8>),
    C2 { missing: usize },
    Done,
}

/// The server's half of the handshake.
#[derive(Debug)]
pub struct Handshake {
    state: State,
    seed: u64,
}

impl Handshake {
    /// `seed` makes the random field of S1.
    pub fn new(seed: u64) -> Self {
        Self { state: State::C0, seed }
    }

    /// Whether C2 was read to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads what belongs to the handshake from the front of `input` and
    /// appends what is to be sent to `output`.
    ///
    /// # Errors
    /// When the peer does not speak RTMP.
    pub fn read(&mut self, input: &mut &[u8], output: &mut BytesMut) -> Result<(), HandshakeError> {
        while !input.is_empty() {
            match &mut self.state {
                State::C0 => {
                    let version = take(input, 1).first().copied().unwrap_or_default();
                    if version != VERSION {
                        return Err(HandshakeError::Version(version));
                    }
                    output.extend_from_slice(&[VERSION]);
                    write_s1(self.seed, output);
                    self.state = State::C1(Vec::new());
                }
                State::C1(packet) => {
                    packet.extend_from_slice(take(input, PACKET_LEN - packet.len()));
                    if packet.len() == PACKET_LEN {
                        // S2 echoes C1; its second time field, when C1 was
                        // read, is of no use to anyone and stays as it came.
                        output.extend_from_slice(packet);
                        self.state = State::C2 { missing: PACKET_LEN };
                    }
                }
                State::C2 { missing } => {
                    *missing -= take(input, *missing).len();
                    if *missing == 0 {
                        self.state = State::Done;
                    }
                }
                State::Done => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Up to `max` bytes off the front.
fn take<'a>(input: &mut &'a [u8], max: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(max.min(input.len()));
    *input = rest;
    taken
}

/// Time 0, zero, and 1,528 bytes that differ between peers (RTMP §5.2.3: they
/// need not be secure).
fn write_s1(seed: u64, output: &mut BytesMut) {
    output.extend_from_slice(&[0; 8]);
    let mut state = seed | 1;
    for _ in 0..(PACKET_LEN - 8) / 8 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        output.extend_from_slice(&state.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_is_echoed_and_what_follows_c2_is_left() {
        let c1: Vec<u8> = (0..PACKET_LEN).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut input = vec![VERSION];
        input.extend_from_slice(&c1);
        input.extend_from_slice(&[9; PACKET_LEN]);
        input.extend_from_slice(b"rest");
        for step in [1, 2, 7, 1537, input.len()] {
            let (mut handshake, mut output, mut left) =
                (Handshake::new(7), BytesMut::new(), Vec::new());
            for mut piece in input.chunks(step) {
                handshake.read(&mut piece, &mut output).unwrap();
                left.extend_from_slice(piece);
            }
            assert!(handshake.is_done());
            assert_eq!(left, b"rest");
            assert_eq!(output.len(), 1 + 2 * PACKET_LEN);
            assert_eq!(&output[1 + PACKET_LEN..], c1);
        }
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_byte() {
        let mut output = BytesMut::new();
        let refused = Handshake::new(7).read(&mut &b"GET / HTTP/1.1"[..], &mut output);
        assert_eq!(refused, Err(HandshakeError::Version(b'G')));
        assert!(output.is_empty());
    }
}
