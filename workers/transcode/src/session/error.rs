//! Why a session stopped.

use millrace_media::avc::AvcError;
use millrace_media::flv::FlvError;

use crate::encoder::EncoderError;
use crate::rendition::TooFar;
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
    /// A standby that took over would leave pictures out: the log has them.
    #[error("the pictures held do not reach back to what is published")]
    HeldTooLittle,
    /// A sample is placed further behind what is published than gaps are listed.
    #[error(transparent)]
    TooFar(#[from] TooFar),
    /// A task of the session died.
    #[error("a task of the session failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl SessionError {
    /// Whether the source's own bytes may be what broke it: another try at the
    /// same place may break at the same place.
    pub fn may_be_the_source(&self) -> bool {
        match self {
            Self::Publish(_)
            | Self::HeldTooLittle
            | Self::Encoder(EncoderError::Start { .. } | EncoderError::Pipe(_)) => false,
            Self::Encoder(error) if error.is_from_outside() => false,
            Self::Encoder(_)
            | Self::Silent { .. }
            | Self::Avc(_)
            | Self::Flv(_)
            | Self::NoVideoConfig
            | Self::TooFar(_)
            | Self::Task(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn an_encoder_that_somebody_killed_says_nothing_of_the_source() {
        let blamed = |wait_status| {
            let end = Some(ExitStatus::from_raw(wait_status));
            SessionError::from(EncoderError::Exited { end, last_words: String::new() })
                .may_be_the_source()
        };
        let code = |code: i32| code << 8;
        let (hup, int, ill, abort, kill, segv, term) = (1, 2, 4, 6, 9, 11, 15);
        for outside in [kill, term, int, hup, code(255), code(123)] {
            assert!(!blamed(outside), "{outside}");
        }
        for own in [segv, abort, ill, code(1), code(69), code(0)] {
            assert!(blamed(own), "{own}");
        }
        let closed = EncoderError::Exited { end: None, last_words: String::new() };
        assert!(SessionError::from(closed).may_be_the_source());
    }
}
