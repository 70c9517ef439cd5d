//! What kind of stack a fault is tried on, and what is published to it.

use crate::publisher::Size;

/// What may be other than usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Name, height and kbit/s of each rung.
    pub(crate) ladder: &'static [(&'static str, u32, u32)],
    pub(crate) source: Size,
    /// One writes, others stand by.
    pub(crate) transcoders: u32,
    /// How far back a playlist reaches, where not as usual.
    pub(crate) dvr_window: Option<&'static str>,
}

impl Setup {
    /// One rung, so that a machine of two cores keeps up with publisher and viewer beside it.
    pub(crate) const USUAL: Self = Self {
        ladder: &[("480p", 480, 1_000)],
        source: Size::Wide,
        transcoders: 1,
        dvr_window: None,
    };
    /// Playlists that are full soon.
    pub(crate) const SHORT_PLAYLISTS: Self = Self { dvr_window: Some("20s"), ..Self::USUAL };
    /// A writer and a standby.
    pub(crate) const TWO_TRANSCODERS: Self = Self { transcoders: 2, ..Self::USUAL };
    /// Three rungs of a source whose pictures are not sent in their order.
    pub(crate) const THREE_RUNGS: Self = Self {
        ladder: &[("240p", 240, 300), ("360p", 360, 600), ("480p", 480, 1_000)],
        source: Size::Reordered,
        ..Self::USUAL
    };
}
