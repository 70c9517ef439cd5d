//! The names of everything outside the process: topics, Redis keys, objects.
//! One place, so that writers and readers can't disagree. The layout is in
//! docs/architecture.md.

pub mod objects;
pub mod redis_keys;
pub mod topics;
