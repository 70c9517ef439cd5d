//! The benchmarks: what ingest costs and how late parts are, beside peers, how long look-ups take,
//! what each second of many streams costs, what viewers cost delivery, and how old a picture is on
//! the screen, in one run.
//!
//! Everything it starts lives in `target/bench` of the clone, listens on the loopback address
//! only, and ends with it. docs/benchmarks.md says what the figures mean.

mod bench;
mod cpu;
mod glass;
mod hour;
mod latency;
mod lookups;
mod material;
mod peers;
mod relaying;
mod report;
mod run;
mod seconds;
mod serving;
mod viewer;
mod window;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use millrace_harness::screen::Screen;

/// CPU per RTMP publisher, and last frame in to part readable; beside nginx-rtmp and MediaMTX.
#[derive(Debug, Parser)]
#[command(name = "millrace-bench")]
struct Cli {
    /// How long CPU time is measured for each server and bitrate.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(2..=50))]
    window: u32,
    /// How many parts the viewer takes for the latency; a part has 200 ms.
    #[arg(long, value_name = "COUNT", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(20..=260))]
    parts: u32,
    /// Only the look-ups, the relay and the seconds of many streams, which take two minutes.
    #[arg(long)]
    record: bool,
    /// Only what viewers cost delivery, beside nginx, which takes four minutes.
    #[arg(long, conflicts_with = "record")]
    serving: bool,
    /// Only how old a picture is on the screen of a browser, in half an hour.
    #[arg(long, conflicts_with_all = ["record", "serving"])]
    glass: bool,
    /// How long a browser plays without a break for that, each server.
    #[arg(long, value_name = "SECONDS", default_value_t = 600,
        value_parser = clap::value_parser!(u32).range(10..=7_200))]
    playing: u32,
    /// How often it begins anew after that, for 20 s each.
    #[arg(long, value_name = "COUNT", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(0..=100))]
    starts: u32,
    /// The program of MediaMTX; without it that peer is left out.
    #[arg(long, value_name = "PROGRAM")]
    mediamtx: Option<PathBuf>,
    /// Why there is none.
    #[arg(long, value_name = "REASON", default_value = "no --mediamtx given")]
    without_mediamtx: String,
}

impl Cli {
    /// The program, or why there is none.
    fn mediamtx(&self) -> Result<&Path, &str> {
        self.mediamtx.as_deref().ok_or(&self.without_mediamtx)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match Box::pin(run::run(&Cli::parse())).await {
        Ok(code) => code,
        Err(error) => {
            Screen::new().say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
