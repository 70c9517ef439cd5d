//! The record in Postgres, on the server that `make test` starts: each test
//! with a database of its own.

mod broadcasts;
mod errors;
mod metrics;
mod migrate;
mod outbox;
mod partitions;
mod qualities;
mod roles;
mod sessions;
mod singleton;
mod support;
mod tls;
