//! Getting parts and segments out: to Redis for the live edge, to the object
//! store for good, and the index and checkpoint that follow from that.

pub mod archive;
pub mod checkpoint;
mod inbox;
pub mod lane;
pub mod redis;
pub mod resume;
pub mod store;
