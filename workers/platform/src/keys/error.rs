//! Why something can't be done to a key.

use millrace_media::id::{InvalidId, KeyId, StreamId};

use super::HashError;
use crate::postgres::DatabaseError;
use crate::redis::RedisError;

/// A change to a key that was not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The stream has no such key.
    #[error("stream {stream} has no key {id}")]
    NotFound {
        /// The stream.
        stream: StreamId,
        /// The key.
        id: KeyId,
    },
    /// The key is in the LiveStream's spec: what happens to it is said there.
    #[error("key {id} is from the spec of {stream}; change spec.keys instead")]
    OfSpec {
        /// The stream.
        stream: StreamId,
        /// The key.
        id: KeyId,
    },
    /// The key is revoked or has expired, and can't be rotated.
    #[error("key {id} of {stream} is no longer good")]
    Over {
        /// The stream.
        stream: StreamId,
        /// The key.
        id: KeyId,
    },
    /// The stream has as many good keys from the API as it may have.
    #[error("stream {stream} has {most} keys already; revoke one first")]
    TooMany {
        /// The stream.
        stream: StreamId,
        /// The limit.
        most: u32,
    },
    /// The expiry has passed already.
    #[error("a key of {stream} would have expired before it exists")]
    Expired {
        /// The stream.
        stream: StreamId,
    },
    /// The old key would be good for too long beside the new one.
    #[error("an overlap of {seconds} s; at most {most} s")]
    Overlap {
        /// Asked for.
        seconds: u64,
        /// The limit.
        most: u64,
    },
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] DatabaseError),
    /// A secret could not be hashed.
    #[error("can't hash a publish key")]
    Hash(#[from] HashError),
    /// A new key is none. Does not happen.
    #[error("can't make a publish key")]
    Generate(#[from] InvalidId),
}

/// A stream's keys were not all revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] DatabaseError),
    /// Redis: they are revoked, but verdicts may say otherwise.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

impl KeyError {
    /// Another try may work without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.is_transient())
    }
}
