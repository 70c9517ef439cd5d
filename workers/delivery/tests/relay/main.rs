//! The events' way from a real Postgres to a real Kafka.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and what helps them"
)]

mod away;
mod holder;
mod order;
mod support;
