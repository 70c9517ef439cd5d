//! Why a session with a peer is over.

use super::chunk_reader::ChunkError;
use super::codec::{SUPPORTED, Unsupported};
use super::command::CommandError;
use super::control::ControlError;
use super::handshake::HandshakeError;

/// A session can't go on; every error is final. What is still to be written
/// to the peer may tell it why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {at} bytes: {kind}")]
pub struct RtmpError {
    /// Bytes of the peer's stream that were read before.
    pub at: u64,
    /// What was wrong.
    #[source]
    pub kind: ErrorKind,
}

/// What was wrong. None of these holds anything of a publish key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The peer does not speak RTMP.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The chunk stream is malformed or over a limit.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A control message is malformed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A command is malformed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A command that needs a connection came before `connect`.
    #[error("{0} before connect")]
    NotConnected(String),
    /// `connect` names another application. Which stays out: a mistyped URL
    /// puts the publish key there.
    #[error("connect to an application other than {served:?}")]
    UnknownApp {
        /// The application that is served.
        served: String,
    },
    /// The publisher sends a codec or packet form that is not taken.
    #[error("{0}: {SUPPORTED}")]
    Unsupported(#[from] Unsupported),
    /// The peer took too long.
    #[error("nothing came in time: {0}")]
    Timeout(Wait),
    /// The peer does not read what it is sent.
    #[error("more than {0} bytes wait to be read by the peer")]
    Output(usize),
    /// The peer sends messages faster than they are taken.
    #[error("more than {0} events wait")]
    Events(usize),
}

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// The end of the handshake.
    #[error("the handshake")]
    Handshake,
    /// `publish`.
    #[error("a publish")]
    Publish,
    /// The next audio or video message.
    #[error("audio or video")]
    Media,
}

impl ErrorKind {
    /// A word for a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Chunk(_) | Self::Control(_) | Self::Command(_) => "malformed",
            Self::NotConnected(_) => "not_connected",
            Self::UnknownApp { .. } => "unknown_app",
            Self::Unsupported(_) => "unsupported_codec",
            Self::Timeout(Wait::Handshake) => "handshake_timeout",
            Self::Timeout(Wait::Publish) => "publish_timeout",
            Self::Timeout(Wait::Media) => "idle",
            Self::Output(_) | Self::Events(_) => "overflow",
        }
    }
}
