//! Processes of Millrace that die or stand still.

use millrace_harness::stack::Worker;

use super::{Fault, NOTHING, Promise, RECONNECT, TEN_SECONDS, fault};
use crate::setup::Setup;
use crate::strike::{RESETS, Strike, Who};

pub(super) const ALL: &[Fault] = &[
    fault("ffmpeg-killed", "kill -9 of ffmpeg", Strike::KillEncoder, NOTHING)
        .telling(&["transcode_restarts"]),
    fault("transcode-killed", "kill -9 of transcode", Strike::Kill(Worker::Transcode), NOTHING)
        .telling(&["transcode"]),
    fault("ingest-killed", "kill -9 of ingest", Strike::Kill(Worker::Ingest), RECONNECT)
        .telling(&["ingest", "StreamInterrupted", "StreamResumed"]),
    fault("delivery-killed", "kill -9 of delivery, of two", Strike::KillOfTwo, NOTHING)
        .telling(&["delivery"]),
    stopped("ffmpeg-stopped", "ffmpeg stopped for 10 s", Who::Encoder)
        .telling(&["transcode_restarts"]),
    stopped("transcode-stopped", "transcode stopped for 10 s", Who::Worker(Worker::Transcode))
        .telling(&["transcode"]),
    stopped("ingest-stopped", "ingest stopped for 10 s", Who::Worker(Worker::Ingest))
        .telling(&["ingest"]),
    stopped("delivery-stopped", "delivery stopped for 10 s", Who::Worker(Worker::Delivery))
        .telling(&["delivery"]),
    fault("clocks-wrong", "clocks an hour ahead, then behind", Strike::Clocks, RECONNECT)
        .telling(&["ingest", "transcode", "delivery"]),
    Fault {
        quiet: true,
        ..stopped("operator-stopped", "operator stopped for 10 s", Who::Operator)
    },
];

/// On a stack of its own.
pub(super) const OF_SHORT_PLAYLISTS: &[Fault] = &[Fault {
    on: Setup::SHORT_PLAYLISTS,
    ..fault(
        "delivery-killed-late",
        "kill -9 of delivery, short segments",
        Strike::KillOfTwoAfterResets,
        Promise { discontinuities: RESETS, ..RECONNECT },
    )
}
.telling(&["delivery"])];

const fn stopped(name: &'static str, short: &'static str, who: Who) -> Fault {
    fault(name, short, Strike::Stop(who, TEN_SECONDS), NOTHING)
}
