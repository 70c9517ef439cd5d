//! Why a session stopped.

use millrace_media::avc::AvcError;
use millrace_media::flv::FlvError;

use crate::encoder::EncoderError;
use crate::services::PublishError;

/// The session can't go on. A new one, from the checkpoint, may.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// What is published, or a run's claim, could not be read or written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The encoder failed.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The encoder was fed and made nothing.
    #[error("ffmpeg was fed but has made nothing for {seconds} s")]
    Silent {
        /// How long.
        seconds: u64,
    },
    /// The source's configuration does not parse.
    #[error("the source's H.264 configuration: {0}")]
    Avc(#[from] AvcError),
    /// A tag in the log or from the encoder does not parse.
    #[error("FLV: {0}")]
    Flv(#[from] FlvError),
    /// A base began without one.
    #[error("the log has no video configuration where one is needed")]
    NoVideoConfig,
    /// Redis did not take the end of the broadcast.
    #[error("the end of the broadcast could not be told to Redis in time")]
    EndNotTold,
    /// A task of the session died.
    #[error("a task of the session failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl SessionError {
    /// Whether the source's own bytes may be what broke it: another try at the
    /// same place may break at the same place.
    pub fn may_be_the_source(&self) -> bool {
        match self {
            Self::Publish(_) | Self::EndNotTold | Self::Encoder(EncoderError::Start { .. }) => {
                false
            }
            Self::Encoder(_)
            | Self::Silent { .. }
            | Self::Avc(_)
            | Self::Flv(_)
            | Self::NoVideoConfig
            | Self::Task(_) => true,
        }
    }
}
