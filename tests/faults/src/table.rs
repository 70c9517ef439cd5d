//! What came of each fault, as a table for people and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::announced::Announced;
use crate::circumstances::Circumstances;
use crate::evidence::Evidence;
use crate::fault::Fault;
use crate::liar::Plant;
use crate::measure::{Waits, count};
use crate::promise::unlogged;
use crate::sound::SoundCount;
use crate::steady::Steady;

/// What a fault did to a broadcast; of its rungs the worst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// Pictures that the publisher made.
    pub(crate) sent: usize,
    /// Of them, those that are not in the log.
    pub(crate) unlogged: usize,
    /// Of those in the log, those that no viewer got.
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) discontinuities: u64,
    pub(crate) sound: SoundCount,
    pub(crate) longest_gap_before_ms: u128,
    pub(crate) longest_gap_ms: u128,
    /// Of several strikes the worst; none where none came.
    pub(crate) next_part_ms: Option<u128>,
    /// Of several strikes the one in the middle.
    pub(crate) median_next_part_ms: Option<u128>,
    /// Media that was listed over half a second later than other was.
    pub(crate) late_ms: u128,
    /// The most by which some was.
    pub(crate) latest_ms: u128,
}

/// One of the things that were done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Struck {
    pub(crate) what: String,
    pub(crate) lasted_ms: u128,
    pub(crate) next_part_ms: Option<u128>,
}

/// What was seen of a broadcast that was tried to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) figures: Figures,
    /// What of the promise was broken.
    pub(crate) broken: Vec<String>,
    pub(crate) announced: Announced,
    pub(crate) blows: Vec<Struck>,
    /// Of a long broadcast without a fault.
    pub(crate) steady: Option<Steady>,
    /// File with the picture.
    pub(crate) picture: String,
}

impl Figures {
    pub(crate) fn of(
        evidence: &Evidence,
        waits: &Waits,
        (late, latest): (Duration, Duration),
    ) -> Self {
        let Evidence { sent, logged, rungs, .. } = evidence;
        let counts: Vec<_> = rungs.iter().map(|rung| count(logged, &rung.shown)).collect();
        Self {
            sent: sent.len(),
            unlogged: unlogged(sent, logged).len(),
            lost: counts.iter().map(|count| count.lost.len()).max().unwrap_or_default(),
            doubled: counts.iter().map(|count| count.doubled.len()).max().unwrap_or_default(),
            discontinuities: rungs.iter().map(|r| r.discontinuities).max().unwrap_or_default(),
            sound: evidence.sound,
            longest_gap_before_ms: waits.before.as_millis(),
            longest_gap_ms: waits.after.as_millis(),
            next_part_ms: waits.worst_next().as_ref().map(Duration::as_millis),
            median_next_part_ms: waits.median_next().as_ref().map(Duration::as_millis),
            late_ms: late.as_millis(),
            latest_ms: latest.as_millis(),
        }
    }
}

/// What came of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    name: &'static str,
    #[serde(skip)]
    short: &'static str,
    promise: String,
    /// None when it could not be tried to its end.
    figures: Option<Figures>,
    /// What of the promise was broken, or why it could not be tried.
    broken: Vec<String>,
    /// Why that was to be expected.
    known: Option<&'static str>,
    announced: Option<Announced>,
    strikes: Vec<Struck>,
    steady: Option<Steady>,
    picture: Option<String>,
    #[serde(skip)]
    plant: Option<Plant>,
}

impl Outcome {
    pub(crate) fn new(fault: &Fault, tried: Result<Tried>) -> Self {
        let Fault { name, short, known, plant, .. } = *fault;
        let mut outcome = Self {
            name,
            short,
            promise: fault.promise.to_string(),
            figures: None,
            broken: Vec::new(),
            known,
            announced: None,
            strikes: Vec::new(),
            steady: None,
            picture: None,
            plant,
        };
        match tried {
            Err(error) => outcome.broken.push(format!("not tried to its end: {error:#}")),
            Ok(tried) => {
                outcome.figures = Some(tried.figures);
                outcome.broken = tried.broken;
                outcome.announced = Some(tried.announced);
                outcome.strikes = tried.blows;
                outcome.steady = tried.steady;
                outcome.picture = Some(tried.picture);
            }
        }
        outcome
    }

    /// Whether something went wrong that nobody expects, or did not that was planted.
    pub(crate) fn is_failure(&self) -> bool {
        match self.plant {
            Some(plant) => !self.is_found(plant),
            None => !self.broken.is_empty() && self.known.is_none(),
        }
    }

    fn is_found(&self, plant: Plant) -> bool {
        self.figures.is_some() && self.broken.iter().any(|what| what.contains(plant.trace()))
    }

    fn word(&self) -> &'static str {
        if let Some(plant) = self.plant {
            return if self.is_found(plant) { "found" } else { "NOT FOUND" };
        }
        match (self.broken.is_empty(), self.known) {
            (true, None) => "kept",
            (true, Some(_)) => "kept this time",
            (false, None) => "BROKEN",
            (false, Some(_)) => "broken, known",
        }
    }

    /// A line or more.
    pub(crate) fn verdict(&self) -> String {
        let mut text = format!("  {}: {}", self.promise, self.word());
        for what in &self.broken {
            let _ = write!(text, "\n    {what}");
        }
        text
    }

    /// When the next part came after each of several strikes.
    fn strikes(&self) -> String {
        let mut text = format!("\n{}, until the next part:\n", self.short);
        for strike in &self.strikes {
            let _ = writeln!(text, "  {:>6} s  {}", seconds(strike.next_part_ms), strike.what);
        }
        if let Some(figures) = &self.figures {
            let (median, worst) = (figures.median_next_part_ms, figures.next_part_ms);
            let _ = writeln!(text, "  median {} s, worst {} s", seconds(median), seconds(worst));
        }
        text
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.short.to_owned()];
        match &self.figures {
            None => cells.resize(12, "-".to_owned()),
            Some(figures) => {
                let counts = [figures.sent, figures.unlogged, figures.lost, figures.doubled];
                cells.extend(counts.map(|count| count.to_string()));
                cells.push(figures.discontinuities.to_string());
                cells.push(figures.sound.silence.to_string());
                let (before, gap) = (figures.longest_gap_before_ms, figures.longest_gap_ms);
                cells.extend([Some(before), Some(gap), figures.next_part_ms].map(seconds));
                cells.extend([Some(figures.late_ms), Some(figures.latest_ms)].map(seconds));
            }
        }
        cells.push(self.word().to_owned());
        cells
    }
}

fn seconds(ms: Option<u128>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10))
}

const HEADS: [&str; 13] = [
    "", "sent", "unlogged", "lost", "doubled", "discont.", "silence", "before", "gap s", "next s",
    "late s", "by s", "promise",
];

/// The table, and below it what was broken.
pub(crate) fn text(outcomes: &[Outcome]) -> String {
    let mut lines = vec![HEADS.map(str::to_owned).to_vec()];
    lines.extend(outcomes.iter().map(Outcome::cells));
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let mut out = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(out, "{cell:width$}"),
                12 => write!(out, "  {cell}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    for outcome in outcomes.iter().filter(|outcome| outcome.strikes.len() > 1) {
        text.push_str(&outcome.strikes());
    }
    for steady in outcomes.iter().filter_map(|outcome| outcome.steady.as_ref()) {
        let _ = write!(text, "\n{steady}");
    }
    let _ = writeln!(text, "\nCounted and announced:");
    for outcome in outcomes {
        if let Some(announced) = &outcome.announced {
            let _ = writeln!(text, "  {}: {announced}", outcome.short);
        }
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.broken.is_empty()) {
        let _ = writeln!(text, "\n{}\n{}", outcome.name, outcome.verdict());
        if let Some(reason) = outcome.known {
            let _ = writeln!(text, "    known: {reason}");
        }
    }
    text
}

/// The little that the README has room for.
pub(crate) fn brief(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| fault | pictures lost | longest gap, s | next part after, s |\n|---|---|---|---|\n",
    );
    for outcome in outcomes {
        if let Some(figures) = &outcome.figures {
            let lost = figures.lost + figures.unlogged;
            let (gap, next) =
                (seconds(Some(figures.longest_gap_ms)), seconds(figures.next_part_ms));
            let _ = writeln!(text, "| {} | {lost} | {gap} | {next} |", outcome.short);
        }
    }
    text
}

/// The same for programs.
///
/// # Errors
/// None in practice.
pub(crate) fn json(circumstances: &Circumstances, outcomes: &[Outcome]) -> Result<String> {
    let report = json!({ "circumstances": circumstances, "faults": outcomes });
    Ok(serde_json::to_string_pretty(&report)? + "\n")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    const FIGURES: Figures = Figures {
        sent: 600,
        unlogged: 0,
        lost: 3,
        doubled: 0,
        discontinuities: 0,
        sound: SoundCount {
            lost: 0,
            doubled: 0,
            disordered: 0,
            silence: 3,
            holes: 0,
            kinds: 1,
            away_ms: 9,
            away_by_clock_ms: 0,
        },
        longest_gap_before_ms: 240,
        longest_gap_ms: 1_234,
        next_part_ms: None,
        median_next_part_ms: None,
        late_ms: 4_000,
        latest_ms: 900,
    };

    fn tried(broken: &[&str]) -> Tried {
        Tried {
            figures: FIGURES,
            broken: broken.iter().map(|what| (*what).to_owned()).collect(),
            announced: Announced::default(),
            blows: Vec::new(),
            steady: None,
            picture: "moon.svg".to_owned(),
        }
    }

    fn fault() -> Fault {
        let first = crate::fault::chosen(&[]).unwrap()[0];
        Fault { name: "moon-gone", short: "no moon", known: None, ..*first }
    }

    fn known() -> Fault {
        Fault { known: Some("nobody has one"), ..fault() }
    }

    #[test]
    fn a_table_lines_up_and_says_what_broke() {
        let outcomes = [
            Outcome::new(&fault(), Ok(tried(&["480p: lost: 7"]))),
            Outcome::new(&known(), Err(anyhow!("no moon here"))),
        ];
        assert_eq!(
            text(&outcomes),
            "         sent  unlogged  lost  doubled  discont.  silence  before  gap s  next s  late s  \
             by s  promise\n\
             no moon   600         0     3        0         0        3    0.24   1.23   never    4.00  \
             0.90  BROKEN\n\
             no moon     -         -     -        -         -        -       -      -       -       -  \
             \x20  -  broken, known\n\
             \nCounted and announced:\n\x20 no moon: nothing\n\n\
             moon-gone\n\
             \x20 no picture lost, no discontinuity: BROKEN\n\
             \x20   480p: lost: 7\n\
             \n\
             moon-gone\n\
             \x20 no picture lost, no discontinuity: broken, known\n\
             \x20   not tried to its end: no moon here\n\
             \x20   known: nobody has one\n"
        );
    }

    #[test]
    fn only_what_is_not_known_is_a_failure() {
        let broken = || Ok(tried(&["lost"]));
        assert!(Outcome::new(&fault(), broken()).is_failure());
        assert!(Outcome::new(&fault(), Err(anyhow!("no"))).is_failure());
        assert!(!Outcome::new(&known(), broken()).is_failure());
        assert!(!Outcome::new(&fault(), Ok(tried(&[]))).is_failure());
    }

    #[test]
    fn a_planted_bug_is_found_by_what_is_said_of_it_and_nothing_else() {
        let planted = || Fault { plant: Some(Plant::Byte), ..fault() };
        let told = |what: &str| Outcome::new(&planted(), Ok(tried(&[what])));
        assert_eq!(told("480p: 3-1.m4s: its bytes changed").word(), "found");
        assert!(told("480p: lost: 7").is_failure());
        assert!(Outcome::new(&planted(), Err(anyhow!("its bytes changed"))).is_failure());
    }

    #[test]
    fn json_has_the_figures_by_name() {
        let outcome = Outcome::new(&fault(), Ok(tried(&[])));
        let text = json(&circumstances(), &[outcome]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["faults"][0]["figures"]["longestGapMs"], 1_234);
        assert_eq!(value["faults"][0]["name"], "moon-gone");
        assert_eq!(value["circumstances"]["seed"], 7);
    }

    fn circumstances() -> Circumstances {
        let word = || "moon".to_owned();
        Circumstances {
            seed: 7,
            cores: 2,
            system: word(),
            kernel: word(),
            commit: word(),
            ffmpeg: word(),
            redis: word(),
            postgres: word(),
        }
    }

    #[test]
    fn the_brief_form_counts_whatever_did_not_come_through() {
        let figures = Figures { unlogged: 2, ..FIGURES };
        let outcomes = [Outcome::new(&fault(), Ok(Tried { figures, ..tried(&[]) }))];
        assert!(brief(&outcomes).ends_with("|---|\n| no moon | 5 | 1.23 | never |\n"));
    }

    #[test]
    fn of_many_strikes_each_is_told() {
        let strike =
            |what: &str, next_part_ms| Struck { what: what.to_owned(), lasted_ms: 1, next_part_ms };
        let blows = vec![strike("a kill", Some(450)), strike("another", None)];
        let outcome = Outcome::new(&fault(), Ok(Tried { blows, ..tried(&[]) }));
        let text = text(&[outcome]);
        let strikes = "no moon, until the next part:\n    0.45 s  a kill\n   never s  another\n  \
                       median never s, worst never s\n";
        assert!(text.contains(strikes), "{text}");
    }
}
