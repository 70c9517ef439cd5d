//! When a program of the harness has to end what it started.

use std::time::Duration;

use anyhow::Result;
use nix::unistd::getppid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Whose the program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A terminal's or a script's: ends with it.
    Foreground,
    /// Nobody's: ends when told.
    Background,
}

/// Resolves when somebody wants the program to end.
///
/// # Errors
/// When signals cannot be listened for.
pub async fn told_to_end(mode: Mode) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // In the background the terminal's end is none of ours.
    let mut hangup = signal(SignalKind::hangup())?;
    // A killed make cannot tell us: its disappearance must.
    let parent = getppid();
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => if mode == Mode::Foreground { return Ok(()) },
            () = sleep(Duration::from_secs(1)) => {
                if mode == Mode::Foreground && getppid() != parent {
                    return Ok(());
                }
            }
        }
    }
}
