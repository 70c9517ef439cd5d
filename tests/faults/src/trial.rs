//! A broadcast with one fault in the middle, or with many at random, held to what is promised.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::recorder::Report;
use tokio::time::{Instant, sleep};

use crate::arena::Arena;
use crate::chance::{self, Turn};
use crate::dice::Dice;
use crate::drift::{Drift, Placed};
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::measure::{Waits, lost_places, waits};
use crate::memory::Memory;
use crate::on_air::{Beside, OnAir, Over};
use crate::picture;
use crate::steady::{self, Steady};
use crate::strike::Strike;
use crate::table::{Figures, Struck, Tried};
use crate::timeline::{Blow, Timeline};

/// What a viewer sees before the strike: past the start, and some segments.
const BEFORE: Duration = Duration::from_secs(5);
/// What a viewer sees after it, when all that is late has come.
const AFTER: Duration = Duration::from_secs(5);
/// The strike falls anywhere in a segment.
const SEGMENT: Duration = Duration::from_secs(2);

/// Of the sound, each second.
const SAMPLES: i64 = 48_000;
/// A broadcast with one fault is shorter than so many seconds.
const ONE: u32 = 300;
/// A start and an end take no longer.
const START: Duration = Duration::from_mins(1);
/// No fault takes longer on average.
const EACH: Duration = Duration::from_secs(15);

/// One broadcast to come.
#[derive(Debug)]
pub(crate) enum Plan {
    /// One fault, so long after the first segments.
    One { fault: &'static Fault, wait: Duration },
    /// Many.
    Many { fault: Fault, turns: Vec<Turn> },
    /// None, for a long time.
    Steady { fault: Fault, time: Duration },
}

impl Plan {
    pub(crate) fn one(fault: &'static Fault, seed: u64) -> Self {
        Self::One { fault, wait: Dice::new(seed, fault.name).between(Duration::ZERO, SEGMENT) }
    }

    /// For so many seconds.
    pub(crate) fn at_random(seed: u64, seconds: u64) -> Self {
        let turns = chance::for_a_time(seed, Duration::from_secs(seconds));
        Self::Many { fault: chance::fault("random", "faults at random", &turns), turns }
    }

    /// So many kills of the transcoder and its ffmpeg.
    pub(crate) fn kills(seed: u64, count: usize) -> Self {
        let turns = chance::kills(seed, count);
        Self::Many { fault: chance::fault("kills", "kills at random", &turns), turns }
    }

    /// Nothing for so many seconds.
    pub(crate) fn steady(seconds: u64) -> Self {
        Self::Steady { fault: steady::NONE, time: Duration::from_secs(seconds) }
    }

    pub(crate) fn fault(&self) -> &Fault {
        match self {
            Self::One { fault, .. } => fault,
            Self::Many { fault, .. } | Self::Steady { fault, .. } => fault,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.fault().name
    }

    pub(crate) fn short(&self) -> &'static str {
        self.fault().short
    }

    /// How long what is published has to be, in seconds.
    pub(crate) fn seconds(&self) -> u32 {
        let time = match self {
            Self::One { .. } => return ONE,
            Self::Steady { time, .. } => return lengths(*time + START),
            Self::Many { turns, .. } => {
                let waits: Duration = turns.iter().map(|turn| turn.wait).sum();
                waits + EACH * u32::try_from(turns.len()).unwrap_or(u32::MAX)
            }
        };
        lengths(time) + ONE
    }

    fn first_stamp(&self) -> i64 {
        self.fault().strike.first_stamp()
    }

    fn beside(&self) -> Beside {
        match self {
            Self::One { fault, .. } => fault.beside(),
            Self::Many { .. } => Beside::Replica,
            Self::Steady { .. } => Beside::Nothing,
        }
    }
}

/// So many seconds or a little more: a few lengths only, as each is kept.
fn lengths(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).next_multiple_of(ONE)
}

/// Where it is tried, and where what is seen of it goes.
pub(crate) struct Trial<'a> {
    pub(crate) arena: &'a Arena,
    /// What helps to find out why.
    pub(crate) folder: &'a Path,
    /// What is kept.
    pub(crate) out: &'a Path,
}

impl Trial<'_> {
    /// Tries it and judges.
    ///
    /// # Errors
    /// When it could not be tried to its end.
    pub(crate) async fn of(&self, plan: &Plan) -> Result<Tried> {
        let (mut on_air, mut watcher) =
            OnAir::begin(self.arena, plan.beside(), plan.first_stamp()).await?;
        let mut memories = Vec::new();
        watcher.watch(BEFORE).await?;
        let (blows, back) = match plan {
            Plan::One { fault, wait } => {
                sleep(*wait).await;
                on_air.listen().await;
                let strike = self.strike(fault.strike, fault.short, &mut on_air);
                let (blow, late) = watcher.beside(strike).await?;
                (vec![blow], watcher.watch(late + AFTER).await)
            }
            Plan::Many { turns, .. } => {
                on_air.listen().await;
                let (blows, _) = watcher.beside(self.strikes(turns, &mut on_air)).await?;
                (blows, watcher.watch(AFTER).await)
            }
            Plan::Steady { time, .. } => {
                on_air.listen().await;
                let (stack, begun) = (&self.arena.stack, Instant::now());
                let held =
                    steady::hold(*time, stack, &mut on_air, &mut watcher, &mut memories).await;
                let name = plan.short().to_owned();
                (vec![Blow { name, begun, over: Instant::now() }], held)
            }
        };
        // One that does not come back is to be judged all the same.
        let late = back.err().map(|error| format!("it did not go on: {error:#}"));
        let over = on_air.finish().await?;
        let mut tried = self.judge(plan.fault(), over, blows, &memories).await?;
        tried.broken.extend(late);
        Ok(tried)
    }

    async fn strikes(&self, turns: &[Turn], on_air: &mut OnAir<'_>) -> Result<Vec<Blow>> {
        let mut blows = Vec::new();
        for Turn { wait, strike } in turns {
            sleep(*wait).await;
            blows.push(self.strike(*strike, &strike.to_string(), on_air).await?);
            // Before retention has it.
            on_air.log().read().await?;
        }
        Ok(blows)
    }

    async fn strike(&self, strike: Strike, name: &str, on_air: &mut OnAir<'_>) -> Result<Blow> {
        let begun = Instant::now();
        strike.at(self.arena, on_air).await.with_context(|| name.to_owned())?;
        Ok(Blow { name: name.to_owned(), begun, over: Instant::now() })
    }

    async fn judge(
        &self,
        fault: &Fault,
        over: Over,
        blows: Vec<Blow>,
        memories: &[Memory],
    ) -> Result<Tried> {
        let Over { truth, logged, report, at, announced, unannounced } = over;
        fs::write(self.folder.join("recorded.txt"), report.to_string())?;
        let mut timeline = Timeline::of(&report, &blows, at);
        let begun: Vec<Instant> = blows.iter().map(|blow| blow.begun).collect();
        let waits = report.renditions.iter().map(|rendition| {
            let arrivals: Vec<Instant> = rendition.arrivals.iter().map(|a| a.at).collect();
            waits(&arrivals, &begun, at)
        });
        let waits = waits.reduce(Waits::worse).context("nothing was recorded")?;
        let evidence = Evidence::gather(&truth, logged, &report).await?;
        let lost =
            evidence.rungs.iter().flat_map(|rung| lost_places(&evidence.logged, &rung.shown));
        timeline.lost = lost.collect();
        let picture = format!("{}.svg", fault.name);
        let title = format!("{}: {}", fault.name, fault.short);
        fs::write(self.out.join(&picture), picture::svg(&title, &timeline))?;
        let mut broken = fault.promise.broken(&evidence);
        broken.extend(unannounced);
        broken.extend(announced.missing(fault.announced));
        if fault.quiet {
            broken.extend(announced.noise());
        }
        let steady = (!memories.is_empty()).then(|| {
            let shown = evidence.rungs.first().map(|rung| rung.shown.as_slice());
            let drift = Drift::of(&truth, shown.unwrap_or_default(), &placed(&report));
            Steady::of(memories, drift)
        });
        broken.extend(steady.iter().flat_map(|steady| steady.broken(&announced)));
        let figures = Figures::of(&evidence, &waits, timeline.late());
        let blows = blows.into_iter().zip(&waits.next).map(|(blow, next)| Struck {
            what: blow.name,
            lasted_ms: (blow.over - blow.begun).as_millis(),
            next_part_ms: next.as_ref().map(Duration::as_millis),
        });
        let blows = blows.collect();
        Ok(Tried { figures, broken, announced, blows, steady, picture })
    }
}

/// The sound that was recorded.
fn placed(report: &Report) -> Vec<Placed> {
    let Some(audio) = report.renditions.iter().find(|rendition| !rendition.video) else {
        return Vec::new();
    };
    let frames = audio.frames().map(|frame| Placed {
        hash: frame.sha,
        begins: frame.pts * SAMPLES / i64::from(audio.timescale.max(1)),
    });
    frames.collect()
}
