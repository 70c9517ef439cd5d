//! One run: everything is started in order, measured alone, and ended.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use millrace_harness::ending::{Mode, told_to_end};
use millrace_harness::place::Place;
use millrace_harness::screen::Screen;
use millrace_harness::services;

use crate::Cli;
use crate::bench::Bench;

/// Measures, ends everything, prints.
pub(crate) async fn run(cli: &Cli) -> Result<ExitCode> {
    let screen = Screen::new();
    let place = Place::open("bench")?;
    if let Some(other) = place.owner() {
        bail!("a benchmark runs here already (process {})", other.pid());
    }
    clear(&place).await?;
    place.own()?;
    let folder = place.path("run");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;

    let mut bench = Bench::new(cli, &screen, &place);
    let outcome = tokio::select! {
        outcome = bench.measure() => Some(outcome),
        reason = told_to_end(Mode::Foreground) => { reason?; None }
    };
    let ending = async {
        bench.stop().await;
        clear(&place).await
    };
    screen.step("Stopping everything", ending).await?;
    let code = match outcome {
        Some(Err(error)) => {
            return Err(error.context(format!("logs are in {}", folder.display())));
        }
        Some(Ok(figures)) => {
            screen.say(&format!("\n{}", figures.text()));
            ExitCode::SUCCESS
        }
        // As the shell says of an interrupted program.
        None => ExitCode::from(130),
    };
    let _ = fs::remove_dir_all(&folder);
    Ok(code)
}

/// Ends what runs from `place`, and forgets the servers' data.
async fn clear(place: &Place) -> Result<()> {
    place.sweep().await?;
    services::discard(&place.path("servers")).await
}
