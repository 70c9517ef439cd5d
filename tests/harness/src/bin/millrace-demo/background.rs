//! `up` and `down`: a demo that outlives the command that started it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::place::Place;
use millrace_harness::screen::Screen;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::settings::Settings;

/// Starts a demo in the background, shows its start, returns when it is ready.
pub(crate) async fn up() -> Result<ExitCode> {
    // Said here, not in a log.
    Settings::from_environment()?;
    let screen = Screen::new();
    let place = Place::open("demo")?;
    let env = place.path("env");
    if let Some(running) = place.owner() {
        screen.say(&format!(
            "It runs already (process {}): {}. make demo-down ends it.",
            running.pid(),
            env.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    // One left by a killed demo would be taken for this one's.
    let _ = std::fs::remove_file(&env);
    let path = place.path("log");
    let log = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut demo = Command::new(std::env::current_exe()?)
        .arg("background")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("starting the demo")?;

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut shown = 0;
    loop {
        let ended = tokio::select! {
            () = sleep(Duration::from_millis(200)) => demo.try_wait()?,
            _ = interrupt.recv() => { return down().await.map(|_| ExitCode::from(130)) }
            _ = terminate.recv() => { return down().await.map(|_| ExitCode::from(143)) }
        };
        shown = show_from(&path, shown, &screen);
        if ended.is_some() {
            return Ok(ExitCode::FAILURE);
        }
        if env.exists() {
            screen.say(&format!("Addresses: {}. make demo-down ends it.", env.display()));
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Ends the demo of this clone, and whatever a killed one left.
pub(crate) async fn down() -> Result<ExitCode> {
    let screen = Screen::new();
    let place = Place::open("demo")?;
    let ending = async {
        if let Some(running) = place.owner() {
            running.end(Duration::from_mins(1)).await;
        }
        place.sweep().await
    };
    screen.step("Stopping the demo", ending).await?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the log's complete lines after `from`, and returns where they end.
fn show_from(path: &std::path::Path, from: u64, screen: &Screen) -> u64 {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_string(&mut text)
    });
    if read.is_err() {
        return from;
    }
    let Some(end) = text.rfind('\n') else {
        return from;
    };
    for line in text.get(..end).unwrap_or_default().lines() {
        screen.say(line);
    }
    from + u64::try_from(end + 1).unwrap_or(0)
}
