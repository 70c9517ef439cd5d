//! The demo: Millrace on this machine, from its own servers to a picture, in one command.
//!
//! `run` does it in the foreground, `up` and `down` around a `run` in the background. Everything
//! it starts lives in `target/demo` of the clone and is found again there after a crash.
//!
//! `DEMO_SECONDS` ends it by itself, `DEMO_PUBLISH=0` leaves publishing to somebody else,
//! `DEMO_CLIP` names another file to publish (H.264 and AAC).

mod background;
mod live;
mod run;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use millrace_harness::ending::Mode;
use millrace_harness::screen::Screen;

/// A stream from a looped clip, and where to watch it.
#[derive(Debug, Parser)]
#[command(name = "millrace-demo")]
enum Cli {
    /// In the foreground, until Ctrl-C or for DEMO_SECONDS.
    Run,
    /// In the background: returns when it plays, and leaves its addresses in target/demo/env.
    Up,
    /// Ends what `up` started.
    Down,
    /// What `up` runs.
    #[command(hide = true)]
    Background,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Run => run::run(Mode::Foreground).await,
        Cli::Background => run::run(Mode::Background).await,
        Cli::Up => background::up().await,
        Cli::Down => background::down().await,
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            Screen::new().say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
