//! What a token may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One kind of thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See streams, broadcasts, sessions, metrics and events.
    StreamsRead,
    /// End broadcasts.
    BroadcastsWrite,
    /// See which publish keys there are; never a key.
    KeysRead,
    /// Make, rotate and revoke publish keys.
    KeysWrite,
    /// List, make and revoke tokens.
    TokensWrite,
}

/// What a token may do.
pub type Scopes = BTreeSet<Scope>;

/// A text that names no scope.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a scope: one of streams:read, broadcasts:write, keys:read, keys:write, tokens:write")]
pub struct InvalidScope;

impl Scope {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::StreamsRead,
        Self::BroadcastsWrite,
        Self::KeysRead,
        Self::KeysWrite,
        Self::TokensWrite,
    ];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StreamsRead => "streams:read",
            Self::BroadcastsWrite => "broadcasts:write",
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::TokensWrite => "tokens:write",
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(InvalidScope)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
