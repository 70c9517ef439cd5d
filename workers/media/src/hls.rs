//! HTTP Live Streaming with its low-latency extension (RFC 8216bis): what a
//! rendition's playlist holds, and how playlists are written.
//!
//! [`Window`] folds the published entries of one rendition. [`media_playlist`]
//! and [`multivariant`] turn state into text; [`Query`] is what a player asks
//! for with it. The bytes are a function of the arguments: no clock, no
//! replica's name. Who waits for what, and how long, is delivery's business.

mod media;
mod moment;
mod multivariant;
mod query;
pub(crate) mod text;
mod window;

pub use media::{Report, media_playlist};
pub use moment::Moment;
pub use multivariant::multivariant;
pub use query::{InvalidQuery, Query};
pub use window::{Position, Reach, Window};
