//! The ingest process on real servers, published to by another implementation.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod ending;
mod flood;
mod keys;
mod publishing;
mod record;
mod refusals;
mod rtmps;
mod settings;
mod support;
mod two;
