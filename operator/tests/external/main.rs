//! What a stream has outside Kubernetes follows its spec and its Secret, is
//! seen, and is cleaned up, on real servers.

#[cfg(test)]
mod away;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod live;
#[cfg(test)]
#[path = "../servers/publisher.rs"]
mod publisher;
#[cfg(test)]
#[path = "../servers/mod.rs"]
mod servers;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sweep;
