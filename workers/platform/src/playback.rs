//! Signed tokens that let somebody watch: JWTs (RFC 7519) signed with HS256 or
//! ES256, and the keys that may sign them, a JWK Set (RFC 7517) of the
//! installation.
//!
//! [`Keys`] reads the set and verifies tokens into [`Grant`]s; a grant says
//! what it admits, with the time as an argument. [`sign`] makes tokens by hand.
//! Who is asked for a token, and when, is delivery's business.

mod claims;
mod crypto;
mod keys;
pub mod sign;

pub use claims::{Claims, Grant, NotAdmitted, OneOrMany, Visit};
pub use keys::{InvalidKeys, Keys, PlaybackKey, Refused};
