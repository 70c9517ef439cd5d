//! Several rungs of a source with B-frames: every rung has every picture, once and in order.

use millrace_harness::stack::Worker;

use super::{Fault, NOTHING, fault};
use crate::setup::Setup;
use crate::strike::Strike;

pub(super) const ALL: &[Fault] = &[
    rungs("ladder-ffmpeg-killed", "three rungs, kill -9 of ffmpeg", Strike::KillEncoder)
        .telling(&["transcode_restarts"]),
    rungs(
        "ladder-transcode-killed",
        "three rungs, kill -9 of transcode",
        Strike::Kill(Worker::Transcode),
    )
    .telling(&["transcode"]),
];

const fn rungs(name: &'static str, short: &'static str, strike: Strike) -> Fault {
    Fault { on: Setup::THREE_RUNGS, ..fault(name, short, strike, NOTHING) }
}
