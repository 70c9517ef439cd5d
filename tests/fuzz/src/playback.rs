//! Tokens of viewers, without the rest of their crate and its servers' clients.

#[path = "../../../workers/platform/src/playback/claims.rs"]
mod claims;
#[path = "../../../workers/platform/src/playback/crypto.rs"]
mod crypto;
#[path = "../../../workers/platform/src/playback/keys.rs"]
mod keys;
#[path = "../../../workers/platform/src/playback/sign.rs"]
pub mod sign;

pub use claims::{Claims, Grant, NotAdmitted, OneOrMany, Visit};
pub use keys::{InvalidKeys, Keys, PlaybackKey, Refused};
