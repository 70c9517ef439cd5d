//! The `LiveStream` resource: its spec, a file per section, and its status.
//!
//! These types are the schema (`crds/livestreams.millrace.dev.yaml` is printed
//! from them) and the wire format, nothing else. What a value means together
//! with others is decided once, in [`crate::reconcile::validate`]; nobody
//! behind it reads these types again.
//!
//! Rules of the schema: every list has `maxItems`, every string `maxLength` or
//! a bounded pattern, named lists are `listType: map`; otherwise the API server
//! can't bound the cost of the CEL rules and refuses the CRD. `v1alpha1` only
//! gains fields, and a default never changes its meaning.

pub mod broadcaster;
pub mod deletion;
pub mod duration;
pub mod ingest;
pub mod keys;
pub mod ladder;
pub mod livestream;
pub mod packaging;
pub mod playback;
pub mod schema;
pub mod status;
pub mod transcode;

pub use livestream::{LiveStream, LiveStreamSpec};
