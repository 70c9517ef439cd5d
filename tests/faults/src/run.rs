//! One run: each fault in a broadcast of its own, judged; everything ended, the report written.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use millrace_harness::ending::{Mode, told_to_end};
use millrace_harness::place::Place;
use millrace_harness::screen::Screen;
use millrace_harness::services;

use crate::Cli;
use crate::arena::Arena;
use crate::circumstances::Circumstances;
use crate::fault::{self, Fault};
use crate::programs::Programs;
use crate::publisher::{Materials, Size};
use crate::table::{self, Outcome};
use crate::trial::{Plan, Trial};

/// Tries the faults, ends everything, tells.
pub(crate) async fn run(cli: &Cli, screen: &Screen) -> Result<ExitCode> {
    if cli.list {
        screen.say(&fault::list());
        return Ok(ExitCode::SUCCESS);
    }
    let plans = plans(cli)?;
    let place = Place::open("faults")?;
    if let Some(other) = place.owner() {
        bail!("the faults are tried here already (process {})", other.pid());
    }
    clear(&place).await?;
    place.own()?;
    let (folder, out) = (place.path("run"), cli.out());
    let _ = fs::remove_dir_all(&folder);
    for folder in [&folder, &out] {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }

    let programs = Programs::new(&place, cli.versions.as_deref())?;
    let tried = tokio::select! {
        outcomes = Box::pin(all(&plans, &place, &programs, &out, screen)) => Some(outcomes),
        reason = told_to_end(Mode::Foreground) => { reason?; None }
    };
    screen.step("Stopping everything", clear(&place)).await?;
    // As the shell says of an interrupted program.
    let Some(outcomes) = tried else { return Ok(ExitCode::from(130)) };
    let outcomes = outcomes.with_context(|| format!("logs are in {}", folder.display()))?;
    tell(&outcomes, &Circumstances::of(cli.seed).await, &out, screen)?;
    if outcomes.iter().any(Outcome::is_failure) {
        screen.say(&format!("Logs are in {}.", folder.display()));
        return Ok(ExitCode::FAILURE);
    }
    let _ = fs::remove_dir_all(&folder);
    Ok(ExitCode::SUCCESS)
}

/// What is to be tried.
fn plans(cli: &Cli) -> Result<Vec<Plan>> {
    let each = |faults: Vec<&'static Fault>| {
        faults.into_iter().map(|fault| Plan::one(fault, cli.seed)).collect()
    };
    Ok(if let Some(time) = cli.random {
        vec![Plan::at_random(cli.seed, time)]
    } else if let Some(count) = cli.kills {
        vec![Plan::kills(cli.seed, count)]
    } else if let Some(time) = cli.steady {
        vec![Plan::steady(time)]
    } else if cli.versions.is_some() {
        each(fault::of_versions())
    } else if cli.short {
        each(fault::short()?)
    } else if !cli.plant.is_empty() {
        each(fault::with(&cli.plant))
    } else {
        each(fault::chosen(&cli.only)?)
    })
}

/// One after the other. Where one could not be tried to its end, or another kind of stack is wanted,
/// the next has a stack of its own.
async fn all(
    plans: &[Plan],
    place: &Place,
    programs: &Programs,
    out: &Path,
    screen: &Screen,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let seconds = plans.iter().map(Plan::seconds).max().unwrap_or_default();
    let with_b_frames = plans.iter().any(|plan| plan.fault().on.source == Size::Reordered);
    let materials =
        Materials::get(seconds, with_b_frames, screen).await.context("what is to be published")?;
    let mut arena: Option<Arena> = None;
    for (number, plan) in plans.iter().enumerate() {
        let folder = place.path("run").join(plan.name());
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let setup = plan.fault().on;
        if let Some(other) = arena.take_if(|arena| arena.setup != setup) {
            other.stack.stop().await;
        }
        let here = match arena.take() {
            Some(arena) => arena,
            None => Arena::open(place, number, setup, &materials, programs, screen).await?,
        };
        let trial = Trial { arena: &here, folder: &folder, out };
        let tried = screen.step(plan.short(), Box::pin(trial.of(plan))).await;
        let is_broken_off = tried.is_err();
        let outcome = Outcome::new(plan.fault(), tried);
        screen.say(&outcome.verdict());
        outcomes.push(outcome);
        if is_broken_off {
            here.stack.stop().await;
        } else {
            arena = Some(here);
        }
    }
    if let Some(arena) = arena {
        arena.stack.stop().await;
    }
    Ok(outcomes)
}

fn tell(
    outcomes: &[Outcome],
    circumstances: &Circumstances,
    out: &Path,
    screen: &Screen,
) -> Result<()> {
    let text = format!("{circumstances}\n\n{}", table::text(outcomes));
    screen.say(&format!("\n{text}"));
    fs::write(out.join("faults.txt"), text)?;
    fs::write(out.join("faults.md"), table::brief(outcomes))?;
    fs::write(out.join("faults.json"), table::json(circumstances, outcomes)?)?;
    Ok(())
}

/// Ends what runs from `place`, and forgets the servers' data.
async fn clear(place: &Place) -> Result<()> {
    place.sweep().await?;
    services::discard(&place.path("servers")).await
}
