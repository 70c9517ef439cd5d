//! Manifests over the life of a broadcast: as reviewed, as another parser reads
//! them, and as ISO/IEC 23009-1 lets them change.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]
#![expect(clippy::indexing_slicing, reason = "a test stops where it stands")]
#![expect(clippy::panic, reason = "a test stops where it stands")]

#[path = "../hls/broadcast.rs"]
mod broadcast;
mod course;
mod golden;
mod growing;
mod life;
mod presentation;
