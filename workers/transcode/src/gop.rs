//! Whether the source's keyframes are too far apart: viewers can join, and a new
//! encoder can begin, at keyframes alone. Pure.

use millrace_media::id::Epoch;
use millrace_media::record::{Body, Record, Track};

/// So far, ms.
const TOO_LONG_MS: i64 = 10_000;

/// Follows the log.
#[derive(Debug, Default)]
pub struct Gops {
    /// The publisher, and its last keyframe or first picture, ms.
    since: Option<(Epoch, i64)>,
    too_long: bool,
}

impl Gops {
    /// The next record. Whether the pictures since the last keyframe are too
    /// many, or those before it were.
    pub fn push(&mut self, record: &Record) -> bool {
        let frame = match &record.body {
            Body::Frame(frame) if frame.track == Track::Video && !frame.config => frame,
            Body::End(_) => {
                *self = Self::default();
                return false;
            }
            Body::Frame(_) | Body::Open(_) | Body::Facts(_) => return self.too_long,
        };
        let since = self.since.filter(|(epoch, _)| *epoch == record.epoch);
        let lasts = since.map_or(0, |(_, since)| frame.time_ms.saturating_sub(since));
        if frame.keyframe || since.is_none() {
            self.too_long = lasts >= TOO_LONG_MS;
            self.since = Some((record.epoch, frame.time_ms));
        } else if lasts >= TOO_LONG_MS {
            self.too_long = true;
        }
        self.too_long
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_media::id::BroadcastId;
    use millrace_media::record::{End, EndReason, Frame};
    use uuid::Uuid;

    use super::*;

    fn picture(epoch: u64, time_ms: i64, keyframe: bool) -> Record {
        let frame = Frame {
            track: Track::Video,
            keyframe,
            config: false,
            repeated: false,
            sequence: 0,
            time_ms,
            composition_ms: 0,
            arrival_ms: 0,
            payload: Bytes::new(),
        };
        Record { epoch: Epoch(epoch), body: Body::Frame(frame) }
    }

    #[test]
    fn ten_seconds_without_a_keyframe_are_too_long_until_they_are_not() {
        let mut gops = Gops::default();
        assert!(!gops.push(&picture(1, 500, true)));
        assert!(!gops.push(&picture(1, 10_499, false)));
        assert!(gops.push(&picture(1, 10_500, false)));
        // A source with a keyframe every twelve seconds stays one.
        assert!(gops.push(&picture(1, 12_500, true)));
        assert!(gops.push(&picture(1, 12_533, false)));
        assert!(!gops.push(&picture(1, 14_500, true)));
    }

    #[test]
    fn who_sends_no_keyframe_at_all_is_noticed_and_the_next_publisher_begins_anew() {
        let mut gops = Gops::default();
        assert!(!gops.push(&picture(1, 0, false)));
        assert!(gops.push(&picture(1, 10_000, false)));
        assert!(!gops.push(&picture(2, 0, false)));
        assert!(gops.push(&picture(2, 10_000, false)));
        let end = End { broadcast: BroadcastId(Uuid::nil()), reason: EndReason::Unpublished };
        assert!(!gops.push(&Record { epoch: Epoch(2), body: Body::End(end) }));
    }
}
