//! Somebody whose token is good.

use std::sync::Arc;

use millrace_media::id::StreamId;
use millrace_platform::tokens::{Scope, Scopes, StreamPatterns};

use super::kubernetes::User;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it is, for people and logs.
    pub subject: Arc<str>,
    /// What is known of its rights.
    pub kind: Kind,
}

/// What is known of a caller's rights.
#[derive(Debug, Clone)]
pub enum Kind {
    /// One of our tokens: its rights are in it.
    Token {
        /// What it may do.
        scopes: Scopes,
        /// On which streams.
        streams: StreamPatterns,
        /// Until when, ms since 1970.
        expires_ms: Option<i64>,
    },
    /// A token of Kubernetes: the API server is asked.
    Kubernetes(Arc<User>),
}

/// Something that is done to streams, and the right it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// See a stream and what is recorded of it.
    Read,
    /// List streams.
    List,
    /// See which keys it has.
    ReadKeys,
    /// Make, rotate, revoke keys.
    WriteKeys,
    /// End a broadcast.
    EndBroadcast,
    /// List, make, revoke tokens.
    ManageTokens,
}

impl Act {
    /// All that a scope allows.
    pub fn all_of(scope: Scope) -> &'static [Self] {
        match scope {
            Scope::StreamsRead => &[Self::Read, Self::List],
            Scope::KeysRead => &[Self::ReadKeys],
            Scope::KeysWrite => &[Self::WriteKeys],
            Scope::BroadcastsWrite => &[Self::EndBroadcast],
            Scope::TokensWrite => &[Self::ManageTokens],
        }
    }

    /// The scope one of our tokens needs.
    pub fn scope(self) -> Scope {
        match self {
            Self::Read | Self::List => Scope::StreamsRead,
            Self::ReadKeys => Scope::KeysRead,
            Self::WriteKeys => Scope::KeysWrite,
            Self::EndBroadcast => Scope::BroadcastsWrite,
            Self::ManageTokens => Scope::TokensWrite,
        }
    }

    /// What a user of Kubernetes must be allowed to do to `LiveStream`s.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read | Self::ReadKeys => "get",
            Self::List => "list",
            Self::WriteKeys | Self::EndBroadcast | Self::ManageTokens => "update",
        }
    }
}

/// On what something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// One stream.
    Stream(&'a StreamId),
    /// The streams of a namespace.
    Namespace(&'a str),
    /// All streams.
    Everything,
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "stream {stream}"),
            Self::Namespace(namespace) => write!(f, "the streams of namespace {namespace}"),
            Self::Everything => f.write_str("all streams"),
        }
    }
}
