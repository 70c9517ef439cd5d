//! What is done to two transcoders, of which one writes and the other stands by.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millrace_harness::http::eventually;
use millrace_harness::process::ProcessId;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::sleep;

use crate::arena::Arena;

/// How long it may take until there are two again.
const PATIENCE: Duration = Duration::from_mins(1);

/// What.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duo {
    /// kill -9 of the one that writes.
    KillWriter,
    /// SIGSTOP of the one that writes, SIGCONT after a while: by then the other does.
    StopWriter(Duration),
    /// kill -9 of the other.
    KillStandby,
    /// kill -9 of both.
    KillBoth,
}

impl Duo {
    /// Does it. On return one writes and the other stands by again.
    ///
    /// # Errors
    /// When there are no two, before or after.
    pub(crate) async fn at(self, arena: &Arena) -> Result<()> {
        let (writer, standby) = roles(arena).await?;
        match self {
            Self::KillWriter => process(writer)?.kill(),
            Self::KillStandby => process(standby)?.kill(),
            Self::KillBoth => {
                process(writer)?.kill();
                process(standby)?.kill();
            }
            Self::StopWriter(time) => {
                let writer = process(writer)?;
                writer.signal(Signal::SIGSTOP)?;
                sleep(time).await;
                writer.signal(Signal::SIGCONT)?;
            }
        }
        roles(arena).await?;
        Ok(())
    }
}

fn process(pid: Pid) -> Result<ProcessId> {
    ProcessId::of(pid).with_context(|| format!("the transcoder {pid} does not run"))
}

/// Who writes, and who stands by, once both say so themselves and one of them encodes.
pub(crate) async fn roles(arena: &Arena) -> Result<(Pid, Pid)> {
    eventually("a writer and a standby", PATIENCE, async || {
        let mut pages = String::new();
        for metrics in arena.stack.endpoints().metrics.split(',') {
            pages += &arena.http.text(metrics).await?;
        }
        for duty in ["writing", "standing_by"] {
            let told = format!("millrace_transcode_{duty} 1\n");
            ensure!(pages.matches(&told).count() == 1, "not one is {duty}");
        }
        arena.stack.writer_and_standby()
    })
    .await
}
