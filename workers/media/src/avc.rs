//! H.264 as MP4 and FLV carry it: the decoder configuration, the NAL units of
//! an access unit, and the few facts of the sequence parameter set that
//! playlists and init segments need.
//!
//! Nothing here decodes or changes a picture. Configuration bytes are kept as
//! they came and written again as they came.

mod config;
mod nal;

pub use config::AvcConfig;
pub use nal::has_idr;

/// Why bytes are not usable H.264.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AvcError {
    /// The configuration record ends inside one of its fields.
    #[error("AVC configuration of {0} bytes is cut short")]
    Short(usize),
    /// Longer than any encoder's.
    #[error("AVC configuration of {0} bytes is longer than {max}", max = AvcConfig::MAX_LEN)]
    TooLong(usize),
    /// A configurationVersion other than 1.
    #[error("AVC configuration version {0} is not 1")]
    Version(u8),
    /// A NAL length of three bytes, which ISO 14496-15 §5.3.3.1.2 excludes.
    #[error("AVC NAL length size {0} is not 1, 2 or 4")]
    LengthSize(u8),
    /// No sequence or no picture parameter set.
    #[error("AVC configuration without a {0} parameter set")]
    NoParameterSet(&'static str),
    /// A sequence parameter set that doesn't parse.
    #[error("H.264 sequence parameter set: {0}")]
    Sps(String),
    /// A picture size no rung could hold.
    #[error("H.264 picture of {width}x{height} is not within 16 to 8192 pixels a side")]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// A NAL unit whose length reaches past the access unit.
    #[error("H.264 NAL unit reaches {0} bytes past its access unit")]
    Nal(usize),
}
