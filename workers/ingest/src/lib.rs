//! Ingest: RTMP to the log, one process per stream.
//!
//! A peer's bytes, behind TLS where there is a certificate ([`tls`]), become
//! events ([`connection`]); a publisher with a good key
//! ([`keys`]) takes the one seat ([`seat`]) and opens an epoch in the log
//! ([`log`]); its messages become records ([`frames`]) that wait in a bounded
//! ring ([`ring`]) for Kafka. A broadcast without a publisher ends after a
//! window ([`window`]). Rows in Postgres follow ([`rows`]), and each second tells
//! Redis what came (`live`).
//!
//! This crate decides nothing about time on the timeline and opens no picture.

pub mod clock;
pub mod config;
pub mod connection;
mod crowd;
pub mod frames;
pub mod keys;
mod live;
pub mod log;
pub mod metrics;
pub mod process;
mod publisher;
pub mod refusal;
pub mod ring;
pub mod rows;
pub mod seat;
pub mod server;
pub mod stream;
pub mod tls;
pub mod watch;
pub mod window;

pub use process::{RunError, run};
