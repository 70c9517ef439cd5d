//! What is live: the streams this replica follows and what it shows of them.

pub mod follower;
pub mod playlist;
pub mod snapshot;
pub mod streams;
pub mod view;
