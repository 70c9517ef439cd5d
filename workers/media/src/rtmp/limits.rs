//! What one peer may cost in memory.

/// Bounds on a peer's input and on what waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Chunk streams in use at once. Encoders use three to six.
    pub chunk_streams: usize,
    /// Largest audio or video message of an accepted publisher, in bytes.
    pub media_message: usize,
    /// Largest message of every other type, in bytes.
    pub command_message: usize,
    /// All unfinished messages of an accepted publisher together, in bytes.
    pub partial_messages: usize,
    /// Stands for `media_message` and `partial_messages` until a publisher is
    /// accepted, in bytes.
    pub stranger: usize,
    /// Bytes waiting to be written to the peer.
    pub output: usize,
    /// Events waiting to be polled.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk_streams: 32,
            media_message: 16 * 1024 * 1024,
            command_message: 64 * 1024,
            partial_messages: 20 * 1024 * 1024,
            stranger: 1024 * 1024,
            output: 64 * 1024,
            events: 65_536,
        }
    }
}
