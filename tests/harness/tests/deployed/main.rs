//! What the README promises, done as a user does it: helm, kubectl and ffmpeg against a cluster
//! with nodes, and a viewer behind its Ingress.
//!
//! `make e2e` says where the cluster is and what it is called there ([`place::Place`]). The tests
//! of this program run one after the other, by their names, on one release: the first installs it,
//! `upgrades` takes it away. Each also runs alone ([`release::stands`]).

#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy knows only functions marked as tests to be tests, not what they call"
)]

mod broadcaster;
mod command;
mod containers;
mod first_day;
mod kills;
mod livestream;
mod lost_node;
mod node;
mod office;
mod on_air;
mod operations;
mod own_servers;
mod place;
mod pod_publisher;
mod release;
mod secrets;
mod socket;
mod upgrades;
mod watching;
