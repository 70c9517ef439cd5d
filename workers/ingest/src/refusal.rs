//! Why a publisher is refused: what it is told, and how it is counted.

use millrace_media::rtmp::RejectCode;

/// A reason to refuse a publisher, or to end its publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not of the form of a key, unknown, or a wrong secret: which stays
    /// unsaid.
    #[error("The stream key is wrong.")]
    WrongKey,
    /// The key is of another stream.
    #[error("The stream key belongs to another stream.")]
    OtherStream,
    /// The key was revoked.
    #[error("The stream key was revoked.")]
    Revoked,
    /// The key is past its time.
    #[error("The stream key has expired.")]
    Expired,
    /// Neither the cache nor the database could be asked.
    #[error("The stream key can't be checked at the moment; try again.")]
    Unchecked,
    /// Another publisher is live.
    #[error("The stream has a live publisher already.")]
    Taken,
    /// This publisher gave way to a newer one.
    #[error("Another publisher has taken over the stream.")]
    Replaced,
    /// Another process opened a higher epoch, or ended the broadcast.
    #[error("The stream goes on elsewhere; connect again.")]
    Overtaken,
    /// The log does not take the broadcast.
    #[error("The stream can't be recorded at the moment; try again.")]
    LogUnavailable,
    /// Only audio came.
    #[error("No video came; audio alone can't be published. Add H.264 video.")]
    AudioOnly,
    /// A video configuration that can't be decoded.
    #[error("The H.264 configuration can't be used; restart the encoder with a common profile.")]
    BadVideo,
    /// Its timestamps run away from the clock.
    #[error("The timestamps run far ahead of the clock; publish at the speed of real time (-re).")]
    Ahead,
    /// More than the stream may have.
    #[error("The bitrate is above this stream's limit; lower it in the encoder.")]
    Bitrate,
    /// The process ends.
    #[error("The server restarts; connect again.")]
    Shutdown,
}

impl Refusal {
    /// A word for a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::WrongKey => "wrong_key",
            Self::OtherStream => "other_stream",
            Self::Revoked => "revoked_key",
            Self::Expired => "expired_key",
            Self::Unchecked => "key_unchecked",
            Self::Taken => "taken",
            Self::Replaced => "replaced",
            Self::Overtaken => "overtaken",
            Self::LogUnavailable => "log_unavailable",
            Self::AudioOnly => "audio_only",
            Self::BadVideo => "bad_video",
            Self::Ahead => "time_ahead",
            Self::Bitrate => "bitrate",
            Self::Shutdown => "shutdown",
        }
    }

    /// The code the encoder sees.
    pub fn code(self) -> RejectCode {
        match self {
            Self::WrongKey
            | Self::OtherStream
            | Self::Revoked
            | Self::Expired
            | Self::Taken
            | Self::Replaced => RejectCode::BadName,
            Self::AudioOnly | Self::BadVideo | Self::Ahead | Self::Bitrate => RejectCode::Rejected,
            Self::Unchecked | Self::Overtaken | Self::LogUnavailable | Self::Shutdown => {
                RejectCode::Failed
            }
        }
    }
}
