//! Topics and events on a real Kafka, and the schemas of the events.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod events;
mod reading;
mod secure;
mod support;
mod topics;
