//! Workers that are replaced while live: by those of another version, and by this one's again.

use millrace_harness::stack::Worker;

use super::{Fault, Lost, NOTHING, Promise, fault};
use crate::strike::Strike;

/// Two connections are lost.
const TWICE: Promise = Promise { unlogged: true, lost: Lost::Nothing, discontinuities: 2 };

/// Only with programs of another version.
pub(super) const ALL: &[Fault] = &[
    replaced("transcode-replaced", "transcode of another version", Worker::Transcode, NOTHING)
        .telling(&["transcode"]),
    replaced("delivery-replaced", "delivery of another version", Worker::Delivery, NOTHING)
        .telling(&["delivery"]),
    replaced("ingest-replaced", "ingest of another version", Worker::Ingest, TWICE)
        .telling(&["ingest"]),
];

const fn replaced(
    name: &'static str,
    short: &'static str,
    worker: Worker,
    promise: Promise,
) -> Fault {
    fault(name, short, Strike::Replace(worker), promise)
}
