//! What is new of a stream since the last look. Pure.

use millrace_platform::redis::metrics::Snapshot;
use millrace_platform::redis::viewers::Turnover;

use super::message::{Change, Message, Passage, Status};

/// What was told of a stream.
#[derive(Debug, Default)]
pub struct Told {
    status: Option<Status>,
    second: Option<u64>,
    turnover: Option<Turnover>,
}

impl Told {
    /// Messages of what is new, in their order; each look's status and figures
    /// are none where they can't be known.
    pub fn news(&mut self, status: Option<Status>, snapshot: Option<Snapshot>) -> Vec<Message> {
        let mut news = Vec::new();
        if let Some(status) = status
            && self.status.as_ref() != Some(&status)
        {
            self.status = Some(status.clone());
            news.push(Message::StreamStatus(status));
        }
        // No figures of what was not told of yet. The same second again: whoever
        // sums them is late.
        if let Some(snapshot) = snapshot
            && self.status.is_some()
            && self.second != Some(snapshot.second)
        {
            let told = self.second.replace(snapshot.second);
            self.passages(&snapshot, told, &mut news);
            news.push(Message::Metrics(snapshot.data));
        }
        news
    }

    /// `told`: the second before.
    fn passages(&mut self, snapshot: &Snapshot, told: Option<u64>, news: &mut Vec<Message>) {
        // Told by an earlier version: what was counted meanwhile is not lost.
        let Some(turnover) = snapshot.turnover.clone() else { return };
        let after = self.turnover.as_ref().and_then(|earlier| turnover.after(earlier));
        let same = self.turnover.as_ref().is_some_and(|earlier| earlier.since == turnover.since);
        if after.is_none() && same && told.is_some_and(|told| snapshot.second <= told) {
            // Of one who summed before, and was late to write it: what it has
            // not counted yet was told.
            return;
        }
        self.turnover = Some(turnover);
        let Some(Turnover { joined, left, moved, .. }) = after else { return };
        let stream_id = &snapshot.data.stream_id;
        let passage = |count| Passage {
            stream_id: stream_id.clone(),
            count,
            concurrent_viewers: snapshot.data.concurrent_viewers,
        };
        news.extend((joined > 0).then(|| Message::ViewerJoined(passage(joined))));
        news.extend((left > 0).then(|| Message::ViewerLeft(passage(left))));
        news.extend(moved.into_iter().map(|moved| {
            let stream_id = stream_id.clone();
            Message::QualityChanged(Change {
                stream_id,
                from: moved.from,
                to: moved.to,
                count: moved.count,
            })
        }));
    }
}

#[cfg(test)]
mod tests {
    use millrace_media::id::{BroadcastId, StreamId};
    use millrace_platform::redis::metrics::MetricsData;
    use millrace_platform::redis::viewers::Moved;

    use super::*;
    use crate::http::streams::StreamState;

    fn stream() -> StreamId {
        "events.keynote".parse().unwrap()
    }

    fn status(state: StreamState) -> Status {
        Status {
            stream_id: stream(),
            state,
            broadcast: BroadcastId(uuid::Uuid::nil()),
            started_ms: 7,
            renditions: Vec::new(),
        }
    }

    fn turnover(since: u64, joined: u64, left: u64, moved: u64) -> Turnover {
        let [from, to] = ["720p", "480p"].map(|name| name.parse().unwrap());
        let moved = (moved > 0).then_some(Moved { from, to, count: moved });
        Turnover { since, joined, left, moved: moved.into_iter().collect() }
    }

    /// Types of messages, with their counts.
    fn kinds(news: &[Message]) -> Vec<String> {
        let kind = |message: &Message| match message {
            Message::StreamStatus(status) => format!("{:?}", status.state),
            Message::ViewerJoined(passage) => {
                format!("joined {} of {}", passage.count, passage.concurrent_viewers)
            }
            Message::ViewerLeft(passage) => format!("left {}", passage.count),
            Message::QualityChanged(change) => {
                format!("{}>{} {}", change.from, change.to, change.count)
            }
            Message::Metrics(_) => "metrics".to_owned(),
        };
        news.iter().map(kind).collect()
    }

    /// With a status told.
    fn told() -> Told {
        let mut told = Told::default();
        told.news(Some(status(StreamState::Live)), None);
        told
    }

    /// What is told of a second.
    fn figures(
        told: &mut Told,
        second: u64,
        viewers: u32,
        turnover: impl Into<Option<Turnover>>,
    ) -> Vec<String> {
        let data = MetricsData {
            stream_id: stream(),
            concurrent_viewers: viewers,
            ingress_bitrate_mbps: 0.0,
            egress_bitrate_mbps: 0.0,
            quality_distribution: [].into(),
            dropped_frames: 0,
            buffering_events: 0,
        };
        let turnover = turnover.into();
        let snapshot = Snapshot {
            second,
            broadcast: None,
            data,
            turnover,
            log_lag_ms: None,
            amiss: millrace_platform::redis::metrics::Amiss::default(),
        };
        kinds(&told.news(None, Some(snapshot)))
    }

    #[test]
    fn a_status_is_told_at_first_and_when_it_changes() {
        let mut told = Told::default();
        assert_eq!(kinds(&told.news(Some(status(StreamState::Live)), None)), ["Live"]);
        assert!(told.news(Some(status(StreamState::Live)), None).is_empty());
        assert!(told.news(None, None).is_empty(), "not known is no change");
        assert_eq!(kinds(&told.news(Some(status(StreamState::Ended)), None)), ["Ended"]);
    }

    #[test]
    fn no_figures_come_before_a_status() {
        let mut told = Told::default();
        assert!(figures(&mut told, 10, 0, None).is_empty());
        assert_eq!(kinds(&told.news(Some(status(StreamState::Live)), None)), ["Live"]);
        assert_eq!(figures(&mut told, 10, 0, None), ["metrics"]);
    }

    #[test]
    fn a_second_is_told_once() {
        let mut told = told();
        assert_eq!(figures(&mut told, 10, 0, None), ["metrics"]);
        assert!(figures(&mut told, 10, 0, None).is_empty());
        assert_eq!(figures(&mut told, 11, 0, None), ["metrics"]);
        // A clock was set back.
        assert_eq!(figures(&mut told, 9, 0, None), ["metrics"]);
    }

    #[test]
    fn viewers_are_told_by_the_difference_between_two_looks_however_far_apart() {
        let mut told = told();
        assert_eq!(figures(&mut told, 10, 5, turnover(7, 8, 3, 1)), ["metrics"]);
        assert_eq!(
            figures(&mut told, 15, 6, turnover(7, 10, 4, 3)),
            ["joined 2 of 6", "left 1", "720p>480p 2", "metrics"]
        );
        assert_eq!(figures(&mut told, 16, 6, turnover(7, 10, 4, 3)), ["metrics"]);
    }

    #[test]
    fn nobody_is_told_twice_when_one_who_summed_before_writes_late() {
        let mut told = told();
        figures(&mut told, 10, 5, turnover(7, 5, 0, 0));
        assert_eq!(figures(&mut told, 11, 6, turnover(7, 6, 0, 0)), ["joined 1 of 6", "metrics"]);
        assert_eq!(figures(&mut told, 10, 5, turnover(7, 5, 0, 0)), ["metrics"], "written late");
        assert_eq!(figures(&mut told, 12, 6, turnover(7, 6, 0, 0)), ["metrics"]);
        // Who sums now begins a few seconds back, with what is counted by then.
        assert_eq!(figures(&mut told, 9, 7, turnover(7, 7, 0, 0)), ["joined 1 of 7", "metrics"]);
        // Redis was restored: what it lost can't be told.
        assert_eq!(figures(&mut told, 13, 5, turnover(7, 5, 0, 0)), ["metrics"]);
        assert_eq!(figures(&mut told, 14, 6, turnover(7, 6, 0, 0)), ["joined 1 of 6", "metrics"]);
    }

    #[test]
    fn the_first_viewer_is_told_and_nothing_after_counts_were_lost() {
        let mut told = told();
        figures(&mut told, 10, 0, Turnover::default());
        let first = figures(&mut told, 11, 1, turnover(7, 1, 0, 0));
        assert_eq!(first, ["joined 1 of 1", "metrics"]);
        assert_eq!(figures(&mut told, 20, 1, turnover(70, 9, 8, 0)), ["metrics"]);
        // The version before sums a second.
        assert_eq!(figures(&mut told, 21, 2, None), ["metrics"]);
        let after = figures(&mut told, 22, 2, turnover(70, 10, 8, 0));
        assert_eq!(after, ["joined 1 of 2", "metrics"]);
    }
}
