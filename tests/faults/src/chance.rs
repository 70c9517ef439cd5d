//! What happens at random, and when: the same for the same seed. Pure.

use std::time::Duration;

use millrace_harness::stack::Worker;

use crate::dice::Dice;
use crate::fault::Fault;
use crate::promise::{Lost, Promise};
use crate::strike::{Strike, Who};

/// From the end of one fault to the next; shorter than a replay may take, too.
const PAUSE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(10));
/// Between kills whose cost is measured one by one.
const CALM: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(7));
/// How long what stands still does so.
const STILL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// What a fault is thought to take besides.
const TAKES: Duration = Duration::from_secs(1);
/// Most times that the publisher has to come again.
const RECONNECTS: usize = 8;

/// One fault, so long after the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) wait: Duration,
    pub(crate) strike: Strike,
}

/// Faults of all processes for about so long.
pub(crate) fn for_a_time(seed: u64, time: Duration) -> Vec<Turn> {
    let mut dice = Dice::new(seed, "random");
    let (mut turns, mut passed) = (Vec::new(), Duration::ZERO);
    loop {
        let wait = dice.between(PAUSE.0, PAUSE.1);
        let still = dice.between(STILL.0, STILL.1);
        let stop = |worker| Strike::Stop(Who::Worker(worker), still);
        let all = [
            Strike::KillEncoder,
            Strike::Kill(Worker::Transcode),
            Strike::KillOfTwo,
            Strike::Stop(Who::Encoder, still),
            stop(Worker::Transcode),
            stop(Worker::Ingest),
            stop(Worker::Delivery),
            Strike::Stop(Who::Operator, still),
            Strike::Kill(Worker::Ingest),
        ];
        let may_reconnect = reconnects(&turns) < RECONNECTS;
        let some = if may_reconnect { &all[..] } else { all.split_last().map_or(&[][..], |s| s.1) };
        let Some(strike) = dice.one_of(some).copied() else { return turns };
        let takes = if let Strike::Stop(_, still) = strike { still } else { TAKES };
        passed += wait + takes;
        if passed > time {
            return turns;
        }
        turns.push(Turn { wait, strike });
    }
}

/// So many kills of the transcoder or its ffmpeg.
pub(crate) fn kills(seed: u64, count: usize) -> Vec<Turn> {
    let mut dice = Dice::new(seed, "kills");
    let kinds = [Strike::KillEncoder, Strike::Kill(Worker::Transcode)];
    let turn = |_| {
        let wait = dice.between(CALM.0, CALM.1);
        Some(Turn { wait, strike: *dice.one_of(&kinds)? })
    };
    (0..count).filter_map(turn).collect()
}

fn reconnects(turns: &[Turn]) -> usize {
    turns.iter().filter(|turn| turn.strike == Strike::Kill(Worker::Ingest)).count()
}

/// All of them as one fault: only what had not reached the log when ingest died may be gone, and each
/// time is marked.
pub(crate) fn fault(name: &'static str, short: &'static str, turns: &[Turn]) -> Fault {
    let reconnects = reconnects(turns);
    let promise = Promise {
        unlogged: reconnects > 0,
        lost: Lost::Nothing,
        discontinuities: u64::try_from(reconnects).unwrap_or(u64::MAX),
    };
    Fault { name, short, promise, quiet: false, ..Fault::NONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_another_something_else() {
        let time = Duration::from_mins(10);
        assert_eq!(for_a_time(3, time), for_a_time(3, time));
        assert_ne!(for_a_time(3, time), for_a_time(4, time));
        assert_eq!(kills(3, 20), kills(3, 20));
        assert_eq!(kills(3, 20).len(), 20);
    }

    #[test]
    fn a_long_time_has_all_kinds_and_no_more_reconnects_than_there_are_numbers_for() {
        let turns = for_a_time(1, Duration::from_hours(1));
        for what in ["ffmpeg", "transcode", "ingest", "delivery", "operator", "stopped"] {
            let is = |turn: &Turn| turn.strike.to_string().contains(what);
            assert!(turns.iter().any(is), "no {what}");
        }
        let fault = fault("moon", "moon", &turns);
        assert_eq!(fault.promise.discontinuities, 8);
        assert!(fault.promise.unlogged);
        let takes = |turn: &Turn| match turn.strike {
            Strike::Stop(_, still) => still + turn.wait,
            _ => TAKES + turn.wait,
        };
        assert!(turns.iter().map(takes).sum::<Duration>() <= Duration::from_hours(1));
    }

    #[test]
    fn kills_of_the_transcoder_cost_nothing() {
        let promise = fault("moon", "moon", &kills(1, 20)).promise;
        assert_eq!(promise.to_string(), "no picture lost, no discontinuity");
    }
}
