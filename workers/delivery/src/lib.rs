//! Delivery: everything a viewer or an administrator asks for over HTTP.
//!
//! A request for a stream starts a follower ([`live`]) that keeps an immutable
//! snapshot of what is published, by Redis's tail or, while Redis is away, the
//! object store's index. Handlers ([`http`]) answer from the snapshot, waiting
//! for the next one where a player asks them to. Who may watch
//! is looked at where a playlist is asked for ([`access`]). Media comes from memory,
//! Redis or the object store ([`fetch`]). Who watches is told to all replicas
//! ([`audience`]) and summed by one ([`aggregate`]). What
//! happens is pushed to those who listen ([`socket`]). Nothing is kept that another replica
//! could not find out, so any replica can answer anything.

pub mod access;
pub mod aggregate;
pub mod archive;
pub mod assets;
pub mod audience;
pub mod background;
pub mod fetch;
pub mod http;
pub mod keeping;
pub mod live;
pub mod metrics;
pub mod observe;
pub mod origin;
pub mod record;
pub mod server;
pub mod settings;
pub mod socket;
pub mod stored;
