//! The publisher's connection and its clock.

use std::time::Duration;

use super::{Fault, NOTHING, RECONNECT, fault};
use crate::act::Act;
use crate::promise::{Lost, Promise};
use crate::strike::Strike;

/// Where a clock jumps, a new stretch begins with the next keyframe.
const TO_THE_KEYFRAME: Promise =
    Promise { unlogged: false, lost: Lost::ToTheKeyframe, discontinuities: 1 };
/// All that was sent is shown, and that something was between is marked.
const MARKED: Promise = Promise { unlogged: false, lost: Lost::Nothing, discontinuities: 1 };
/// The connection was lost, and the broadcast goes on with another.
const CAME_BACK: [&str; 2] = ["StreamInterrupted", "StreamResumed"];
/// Requests for a playlist that waited three target durations for nothing are answered with 503.
const WAITED: [&str; 1] = ["delivery_requests"];
/// What has no place on the timeline is counted.
const DROPPED: [&str; 1] = ["fold_dropped_frames"];
const TWENTY_SECONDS: Duration = Duration::from_secs(20);

const fn act(name: &'static str, short: &'static str, act: Act, promise: Promise) -> Fault {
    fault(name, short, Strike::Publisher(act), promise)
}

pub(super) const ALL: &[Fault] =
    &[
        act("publisher-reset", "publisher's connection reset", Act::Reset, RECONNECT)
            .telling(&CAME_BACK),
        act("publisher-half-open", "publisher gone without a word", Act::HalfOpen, MARKED)
            .telling(&["ingest_refused", "StreamInterrupted", "StreamResumed"]),
        act("publisher-late", "network stalled for 20 s", Act::Late(TWENTY_SECONDS), NOTHING)
            .telling(&WAITED)
            .quiet(),
        act("publisher-silent", "source silent for 20 s", Act::Silent(TWENTY_SECONDS), MARKED)
            .telling(&WAITED)
            .quiet(),
        act("publisher-resized", "publisher back with 960x720", Act::Resize, RECONNECT)
            .telling(&CAME_BACK),
        act("publisher-second", "a second publisher", Act::Second, NOTHING)
            .telling(&["ingest_refused"])
            .quiet(),
        act("stamps-wrap", "stamps wrap", Act::Wrap, NOTHING).quiet(),
        act("stamps-ahead", "stamps jump 10 s ahead", Act::Jump(10_000), TO_THE_KEYFRAME)
            .telling(&DROPPED)
            .quiet(),
        act("stamps-back", "stamps jump 5 s back", Act::Jump(-5_000), TO_THE_KEYFRAME)
            .telling(&DROPPED)
            .quiet(),
        act("stamps-stall", "stamps stand still for 2 s", Act::Stall(2_000), TO_THE_KEYFRAME)
            .telling(&DROPPED)
            .quiet(),
        act("sound-drift", "sound's clock 1 % fast", Act::Drift(10), NOTHING)
            .telling(&["fold_silent_frames"])
            .quiet(),
        act("clock-fast", "publisher 1 % fast", Act::Faster(10), NOTHING).quiet(),
    ];
