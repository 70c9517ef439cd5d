//! The record in Postgres, on the server that `make test` starts: each test
//! with a database of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod breaker;
mod broadcasts;
mod errors;
mod metrics;
mod migrate;
mod outbox;
mod partitions;
mod plans;
mod qualities;
mod roles;
mod sessions;
mod singleton;
mod support;
mod tls;
