//! Media playlists over the life of a broadcast: as reviewed, as other parsers
//! read them, and as RFC 8216bis lets them change.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]
#![expect(clippy::indexing_slicing, reason = "a test stops where it stands")]

mod broadcast;
mod golden;
mod life;
mod playlist;
