//! The stream end to end: a real publisher, the real programs, a viewer's eyes.
//!
//! Each test has a stack of its own on the servers of `make test`. They take turns: two encoders
//! at once would be slower than real time on a small machine.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "clippy knows only functions marked as tests to be tests, not what they call"
)]

mod away;
mod browser;
mod crash;
mod dash;
mod ending;
mod events;
mod loss;
mod reconnect;
mod refusal;
mod renditions;
mod rtmps;
mod stage;
mod standby;
mod tokens;
