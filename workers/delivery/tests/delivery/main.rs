//! Delivery on a real Redis and object store, asked over HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod access;
mod api;
mod audience;
mod cdn;
mod crowd;
mod dash;
mod media;
mod metrics;
mod pages;
mod playlists;
mod socket;
mod support;
mod timed;
