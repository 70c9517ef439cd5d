//! The modules over real Redis servers of the tests' own.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod databases;
mod lease;
mod media;
mod metrics;
mod server;
mod viewers;
