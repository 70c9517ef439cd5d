//! AAC as MP4 and FLV carry it: the AudioSpecificConfig, and frames of silence
//! to fill a gap with.

mod bits;
mod config;
mod silence;

pub use config::AacConfig;
pub use silence::silent_frame;

/// Why bytes are not a usable AudioSpecificConfig.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AacError {
    /// The configuration ends inside one of its fields.
    #[error("AudioSpecificConfig of {0} bytes is cut short")]
    Short(usize),
    /// An object type that is not AAC Main, LC, SSR, LTP, SBR or PS.
    #[error("audio object type {0} is not AAC")]
    ObjectType(u8),
    /// A reserved sampling frequency index, or a rate outside 7,350 to 96,000.
    #[error("AAC sample rate {0} is not usable")]
    SampleRate(u32),
    /// Frames of 960 samples: on the grid of 1,024 they would run slow.
    #[error("AAC frames of 960 samples are not taken")]
    ShortFrames,
    /// Channels described in a program config element, or reserved.
    #[error("AAC channel configuration {0} is not 1 to 7")]
    Channels(u8),
}
