//! What those need of the API's tokens.

#[path = "../../../workers/platform/src/tokens/pattern.rs"]
mod pattern;

pub use pattern::{InvalidPattern, StreamPattern, StreamPatterns};
