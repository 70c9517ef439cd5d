//! The life of publish keys on a real Postgres and Redis.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod life;
mod list;
mod spec;
mod support;
