//! Two transcoders of a stream.

use super::{Fault, NOTHING, TEN_SECONDS, fault};
use crate::setup::Setup;
use crate::strike::Strike;
use crate::strike::transcoders::Duo;

pub(super) const ALL: &[Fault] = &[
    duo("writer-killed", "kill -9 of the writer, of two", Duo::KillWriter)
        .telling(&["transcode", "transcode_takeovers"]),
    duo("writer-stopped", "the writer stopped for 10 s", Duo::StopWriter(TEN_SECONDS))
        .telling(&["transcode", "transcode_takeovers"]),
    duo("standby-killed", "kill -9 of the standby", Duo::KillStandby).telling(&["transcode"]),
    duo("both-killed", "kill -9 of writer and standby", Duo::KillBoth).telling(&["transcode"]),
];

const fn duo(name: &'static str, short: &'static str, what: Duo) -> Fault {
    Fault { on: Setup::TWO_TRANSCODERS, ..fault(name, short, Strike::Duo(what), NOTHING) }
}
