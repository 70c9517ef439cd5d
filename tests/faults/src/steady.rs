//! A long broadcast without a fault: whether memory stays, and sound beside its pictures.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use millrace_harness::process::{ProcessId, resident};
use millrace_harness::stack::{Stack, Worker};
use serde::Serialize;
use tokio::time::Instant;

use crate::announced::Announced;
use crate::drift::Drift;
use crate::fault::Fault;
use crate::memory::{self, Memory};
use crate::on_air::{OnAir, Watcher};

/// How much is watched between two weighings.
const LOOK: Duration = Duration::from_secs(2);
/// How often the log is read, before retention has it.
const READ: Duration = Duration::from_mins(1);
/// The fault that is none.
pub(crate) const NONE: Fault = Fault { name: "steady", short: "nothing, for long", ..Fault::NONE };

/// What a long time did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Steady {
    pub(crate) memory: Vec<memory::Figures>,
    /// Whether memory was watched long enough to be judged.
    pub(crate) is_long: bool,
    pub(crate) drift: Option<Drift>,
}

/// Watches for so long, and weighs all processes meanwhile.
///
/// # Errors
/// When it does not go on.
pub(crate) async fn hold(
    time: Duration,
    stack: &Stack,
    on_air: &mut OnAir<'_>,
    watcher: &mut Watcher,
    memories: &mut Vec<Memory>,
) -> Result<()> {
    let begun = Instant::now();
    let mut read = begun;
    while begun.elapsed() < time {
        watcher.watch(LOOK).await?;
        weigh(stack, begun.elapsed(), memories);
        if read.elapsed() > READ {
            read = Instant::now();
            on_air.log().read().await?;
        }
    }
    Ok(())
}

/// One that does not run now weighs nothing; that it was started again is told elsewhere.
fn weigh(stack: &Stack, at: Duration, memories: &mut Vec<Memory>) {
    let processes = [
        ("ingest", stack.pid(Worker::Ingest).ok()),
        ("transcode", stack.pid(Worker::Transcode).ok()),
        ("ffmpeg", stack.encoder().map(ProcessId::pid).ok()),
        ("delivery", stack.pid(Worker::Delivery).ok()),
        ("operator", Some(stack.operator())),
    ];
    for (process, pid) in processes {
        let Some(bytes) = pid.and_then(|pid| resident(pid).ok()) else { continue };
        if let Some(memory) = memories.iter_mut().find(|memory| memory.process == process) {
            memory.weights.push((at, bytes));
        } else {
            memories.push(Memory { process: process.to_owned(), weights: vec![(at, bytes)] });
        }
    }
}

impl Steady {
    pub(crate) fn of(memories: &[Memory], drift: Option<Drift>) -> Self {
        Self {
            memory: memories.iter().filter_map(Memory::figures).collect(),
            is_long: memories.iter().all(Memory::is_long),
            drift,
        }
    }

    /// What of it is not steady, in words.
    pub(crate) fn broken(&self, announced: &Announced) -> Vec<String> {
        let grown = self.memory.iter().filter(|_| self.is_long).filter_map(memory::Figures::growth);
        let mut broken: Vec<String> = grown.collect();
        match self.drift.map(Drift::samples) {
            None => broken.push("too little sound or pictures for a drift".to_owned()),
            Some(0) => {}
            Some(drift) => {
                broken.push(format!("sound went {drift} samples away from the pictures"));
            }
        }
        if let Some(count) = announced.counted.get("transcode_restarts") {
            broken.push(format!("ffmpeg was started again {count} times"));
        }
        broken
    }
}

impl fmt::Display for Steady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  MiB resident    at 10 %  at 50 %   at end  highest")?;
        for figures in &self.memory {
            writeln!(f, "{figures}")?;
        }
        if !self.is_long {
            let least = memory::FULL.as_secs() * 3 / 2;
            writeln!(f, "  (not judged: caches fill, it takes {least} s)")?;
        }
        if let Some(drift) = self.drift {
            let Drift { first, last } = drift;
            writeln!(
                f,
                "  Sound beside the pictures: {first} samples late in the first second, {last} in \
                 the last."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(last: i64) -> Steady {
        let weights = vec![(Duration::ZERO, 1 << 20), (Duration::from_secs(9), 30 << 20)];
        let memory = Memory { process: "moon".to_owned(), weights };
        Steady::of(&[memory], Some(Drift { first: 5, last }))
    }

    #[test]
    fn a_short_time_is_told_and_judged_by_its_sound_alone() {
        let text = steady(5).to_string();
        assert!(text.contains("\n  moon          30.0     30.0     30.0     30.0\n"), "{text}");
        assert!(text.contains("(not judged: caches fill, it takes 1530 s)"), "{text}");
        assert_eq!(steady(5).broken(&Announced::default()), [""; 0]);
        let told = steady(4).broken(&Announced::default());
        assert_eq!(told, ["sound went -1 samples away from the pictures"]);
    }

    #[test]
    fn what_grows_for_long_or_is_started_again_is_not_steady() {
        let steady = Steady { is_long: true, ..steady(5) };
        let mut announced = Announced::default();
        announced.counted.insert("transcode_restarts".to_owned(), 2);
        let told = steady.broken(&announced);
        let wanted =
            ["moon grows: at most 0.0 MiB, then 30.0 MiB", "ffmpeg was started again 2 times"];
        assert_eq!(told, wanted);
    }
}
