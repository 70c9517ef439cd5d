//! The fault suite: a live stream is recorded whole while something it needs is killed, stopped or
//! taken away, and what was recorded is held to what was published.
//!
//! Everything it starts lives in `target/faults` of the clone, listens on the loopback address
//! only, and ends with it. docs/faults.md says what is promised and how the table is read.

mod act;
mod announced;
mod arena;
mod before;
mod chance;
mod circumstances;
mod dice;
mod drift;
mod ear;
mod evidence;
mod fault;
mod front;
mod liar;
mod log;
mod measure;
mod memory;
mod on_air;
mod picture;
mod programs;
mod promise;
mod publisher;
mod run;
mod setup;
mod sound;
mod steady;
mod strike;
mod table;
mod timeline;
mod told;
mod trial;
mod truth;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Parser, Subcommand};
use millrace_harness::repo;
use millrace_harness::screen::Screen;

use crate::liar::Plant;
use crate::watch::Watch;

/// Kills what a live stream needs, and counts what a viewer lost.
#[derive(Debug, Parser)]
#[command(name = "millrace-faults", group = ArgGroup::new("what").multiple(false))]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only these faults.
    #[arg(long, value_name = "NAME", num_args = 1.., group = "what")]
    only: Vec<String>,
    /// No fault, but bugs planted between delivery and the recorder, which are to be found.
    #[arg(long, value_name = "BUG", num_args = 1.., group = "what")]
    plant: Vec<Plant>,
    /// Some faults and the planted bugs: what a change has to pass.
    #[arg(long, group = "what")]
    short: bool,
    /// One long broadcast with faults of all processes at random moments.
    #[arg(long, value_name = "SECONDS", group = "what")]
    random: Option<u64>,
    /// One broadcast with so many kills of the transcoder or its ffmpeg, at random moments.
    #[arg(long, value_name = "N", group = "what")]
    kills: Option<usize>,
    /// One broadcast of so many seconds without a fault: memory has to stay, and sound beside its
    /// pictures.
    #[arg(long, value_name = "SECONDS", group = "what")]
    steady: Option<u64>,
    /// A worker after the other is replaced, while live, by the one in this folder, and by its own
    /// version again (tests/previous.sh).
    #[arg(long, value_name = "FOLDER", group = "what")]
    versions: Option<PathBuf>,
    /// The same seed strikes at the same moments.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Names the faults and what each is promised to cost, and does nothing.
    #[arg(long)]
    list: bool,
    /// Where the table and the report are written; target/faults unless given.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Records what any HLS server offers, and holds it to the same rules.
    Watch(Watch),
}

impl Cli {
    fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| repo::root().join("target/faults"))
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen::new();
    let ended = match &cli.command {
        Some(Command::Watch(what)) => Box::pin(watch::watch(what, &screen)).await,
        None => Box::pin(run::run(&cli, &screen)).await,
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            screen.say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
