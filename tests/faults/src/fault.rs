//! The faults, and what each is promised to cost (docs/faults.md).
//!
//! A list for each topic; here is what they share.

mod processes;
mod publisher;
mod rungs;
mod servers;
mod transcoders;
mod troubles;
mod versions;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::liar::Plant;
use crate::on_air::Beside;
use crate::promise::{Lost, Promise};
use crate::setup::Setup;
use crate::strike::Strike;

/// One fault.
#[derive(Debug)]
pub(crate) struct Fault {
    /// For the command line and the report.
    pub(crate) name: &'static str,
    /// For the table.
    pub(crate) short: &'static str,
    pub(crate) strike: Strike,
    pub(crate) promise: Promise,
    /// Why it breaks its promise, where that is known.
    pub(crate) known: Option<&'static str>,
    /// A bug that is to be found.
    pub(crate) plant: Option<Plant>,
    /// What it is tried on.
    pub(crate) on: Setup,
    /// What is to be said of it: names of counters, checks, processes, events ([`Announced`]).
    ///
    /// [`Announced`]: crate::announced::Announced
    pub(crate) announced: &'static [&'static str],
    /// Nothing is to be made of it: no event, and no process that is started again.
    pub(crate) quiet: bool,
}

impl Fault {
    /// Nothing, to be changed.
    pub(crate) const NONE: Self = fault("undisturbed", "nothing", Strike::Nothing, NOTHING).quiet();

    /// This is to be said of it.
    const fn telling(self, announced: &'static [&'static str]) -> Self {
        Self { announced, ..self }
    }

    /// Nothing is to be made of it.
    const fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// What stands between delivery and whoever watches.
    pub(crate) fn beside(&self) -> Beside {
        match self.plant {
            Some(plant) => Beside::Liar(plant),
            None => match self.strike {
                Strike::KillOfTwo | Strike::KillOfTwoAfterResets => Beside::Replica,
                _ => Beside::Nothing,
            },
        }
    }
}

/// Every picture that was sent, once, in order, and nothing marked.
const NOTHING: Promise = Promise { unlogged: false, lost: Lost::Nothing, discontinuities: 0 };
/// The publisher comes back: what ingest had not yet put into the log is gone.
const RECONNECT: Promise = Promise { unlogged: true, lost: Lost::Nothing, discontinuities: 1 };
/// What left the log before it was read.
const ONE_STRETCH: Promise =
    Promise { unlogged: false, lost: Lost::OneStretch, discontinuities: 1 };

const fn fault(name: &'static str, short: &'static str, strike: Strike, promise: Promise) -> Fault {
    Fault {
        name,
        short,
        strike,
        promise,
        known: None,
        plant: None,
        on: Setup::USUAL,
        announced: &[],
        quiet: false,
    }
}

const fn planted(name: &'static str, short: &'static str, plant: Plant) -> Fault {
    Fault { plant: Some(plant), ..fault(name, short, Strike::Nothing, NOTHING) }
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// By topic, in the order in which they are tried: those of one kind of stack after each other.
const LISTS: [&[Fault]; 8] = [
    &[Fault::NONE],
    processes::ALL,
    servers::ALL,
    troubles::ALL,
    publisher::ALL,
    transcoders::ALL,
    rungs::ALL,
    processes::OF_SHORT_PLAYLISTS,
];

/// All of them, in the order in which they are tried.
fn all() -> impl Iterator<Item = &'static Fault> {
    LISTS.into_iter().flatten()
}

/// Bugs to be found.
const PLANTED: &[Fault] = &[
    planted("planted-reset", "planted: numbers reset", Plant::Reset),
    planted("planted-drop", "planted: a picture dropped", Plant::Drop),
    planted("planted-byte", "planted: a byte changed", Plant::Byte),
];

/// What a change cannot wait for all of.
const SHORT: [&str; 7] = [
    "undisturbed",
    "ffmpeg-killed",
    "transcode-killed",
    "ingest-killed",
    "delivery-killed",
    "redis-killed",
    "kafka-killed",
];

/// Some faults, and all planted bugs.
///
/// # Errors
/// None in practice.
pub(crate) fn short() -> Result<Vec<&'static Fault>> {
    let mut faults = chosen(&SHORT.map(str::to_owned))?;
    faults.extend(PLANTED);
    Ok(faults)
}

/// What can be tried with another version's programs.
pub(crate) fn of_versions() -> Vec<&'static Fault> {
    versions::ALL.iter().collect()
}

/// These bugs.
pub(crate) fn with(plants: &[Plant]) -> Vec<&'static Fault> {
    PLANTED.iter().filter(|fault| fault.plant.is_some_and(|p| plants.contains(&p))).collect()
}

/// Those of these names, in the order of all; all of them when none is named.
///
/// # Errors
/// When there is none of a name.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Fault>> {
    for name in names {
        let known: Vec<_> = all().map(|fault| fault.name).collect();
        ensure!(known.contains(&name.as_str()), "no fault {name}; there are {}", known.join(", "));
    }
    let is_named = |fault: &&Fault| names.iter().any(|name| name == fault.name);
    Ok(all().filter(|fault| names.is_empty() || is_named(fault)).collect())
}

/// A line for each.
pub(crate) fn list() -> String {
    let lines = all().map(|fault| format!("{:24} {}", fault.name, fault.promise));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_one_faults() {
        let names: BTreeSet<_> = all().map(|fault| fault.name).collect();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn the_short_form_has_some_faults_and_all_bugs() {
        let names: Vec<_> = short().unwrap().iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), SHORT.len() + 3);
        assert!(names.ends_with(&["planted-reset", "planted-drop", "planted-byte"]), "{names:?}");
    }

    #[test]
    fn named_faults_come_in_their_own_order_and_a_wrong_name_is_told() {
        let names = ["kafka-killed", "ffmpeg-killed"].map(str::to_owned);
        let chosen: Vec<_> = chosen(&names).unwrap().iter().map(|fault| fault.name).collect();
        assert_eq!(chosen, ["ffmpeg-killed", "kafka-killed"]);
        assert_eq!(super::chosen(&[]).unwrap().len(), all().count());
        let error = super::chosen(&["moon".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("no fault moon; there are undisturbed, ffmpeg-killed"), "{error}");
    }
}
