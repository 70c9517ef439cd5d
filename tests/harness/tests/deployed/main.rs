//! What the README promises, done as a user does it: helm, kubectl and ffmpeg against a cluster
//! with nodes, and a viewer behind its Ingress.
//!
//! `make e2e` says where the cluster is and what it is called there ([`place::Place`]). The tests
//! of this program take the release's namespace for themselves, one after the other.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "clippy knows only functions marked as tests to be tests, not what they call"
)]

mod command;
mod first_day;
mod livestream;
mod place;
mod pod_publisher;
mod release;
mod watching;
