//! `millrace-operator local`: the very plan of a cluster, as plain processes.
//!
//! ```text
//! manifest ─▶ validate ─▶ build ─▶ external (rows, topics) ─▶ pods ─▶ supervise
//!                                                                      └▶ ready? ─▶ endpoints
//! ```
//!
//! Validation and builders are the controller's; this module only gives the
//! rendered containers what a cluster would give them: connection settings
//! from the operator's environment, ports, restarts, and an end.

mod api_token;
pub mod args;
mod backoff;
mod certificates;
mod delivery;
mod endpoints;
mod environment;
mod logs;
mod manifest;
mod outside;
mod plan;
mod pods;
mod ports;
mod probe;
mod ready;
mod settings;
mod state;
mod supervise;
mod volumes;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use millrace_platform::tokens::ApiToken;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use args::LocalArgs;
use endpoints::Published;
use outside::Made;
use pods::ProcessPlan;
use supervise::State;

pub use plan::PlanError;
pub use ready::NotReady;

/// Why `local` gave up.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The streams can't be run.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Something did not become ready.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// A file of ours can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A process and what it is doing.
struct Running {
    plan: ProcessPlan,
    state: watch::Receiver<State>,
    /// The last one it had. It stays until there is another, so that whoever
    /// reads the file sees the old process replaced, never missing.
    pid: Option<u32>,
}

/// Run until `stop`; then leave nothing running.
pub async fn run(args: LocalArgs, stop: CancellationToken) -> Result<(), LocalError> {
    let plan = plan::make(&args).await?;
    if let Some(dir) = &args.log_dir {
        std::fs::create_dir_all(dir)
            .map_err(|source| LocalError::Write { path: dir.clone(), source })?;
    }
    let mut tasks = JoinSet::new();
    let children = stop.child_token();
    let mut running = Vec::new();
    for process in plan.processes {
        let (sender, state) = watch::channel(State::Down(None));
        running.push(Running { plan: process.clone(), state, pid: None });
        tasks.spawn(supervise::keep_running(
            process,
            args.log_dir.clone(),
            sender,
            children.clone(),
        ));
    }
    let published = (plan.streams.as_slice(), plan.api_token.as_ref());
    let result = tokio::select! {
        result = serve(&args, published, &plan.made, &mut running) => result,
        () = stop.cancelled() => Ok(()),
    };
    info!("stopping");
    children.cancel();
    while tasks.join_next().await.is_some() {}
    if let Some(path) = &args.env_file {
        // It names processes that are no more.
        let _ = std::fs::remove_file(path);
    }
    result
}

/// Wait until all is ready, say so, and keep what was said true. Ends only by
/// an error.
async fn serve(
    args: &LocalArgs,
    published: (&[Published], Option<&ApiToken>),
    made: &Made,
    running: &mut [Running],
) -> Result<(), LocalError> {
    ready::wait(running, args.ready_timeout.get()).await?;
    let lines = current(published, running);
    write(args, &lines)?;
    let mut stdout = std::io::stdout();
    let announcement = endpoints::announcement(&lines, stdout.is_terminal());
    // Whoever closed stdout doesn't want to know.
    let _ = stdout.write_all(announcement.as_bytes());
    let _ = stdout.flush();
    made.tell().await;
    loop {
        changed(running).await;
        write(args, &current(published, running))?;
    }
}

fn current(
    (streams, token): (&[Published], Option<&ApiToken>),
    running: &mut [Running],
) -> endpoints::Lines {
    let plans: Vec<_> = running
        .iter_mut()
        .map(|process| {
            if let State::Running(pid) = *process.state.borrow_and_update() {
                process.pid = Some(pid);
            }
            (&process.plan, process.pid)
        })
        .collect();
    endpoints::lines(streams, token, &plans)
}

/// Until some process starts or ends.
async fn changed(running: &mut [Running]) {
    if running.is_empty() {
        std::future::pending::<()>().await;
    }
    let changes = running.iter_mut().map(|process| {
        Box::pin(async {
            if process.state.changed().await.is_err() {
                // Its supervisor is done; nothing will change again.
                std::future::pending::<()>().await;
            }
        })
    });
    futures::future::select_all(changes).await;
}

fn write(args: &LocalArgs, lines: &endpoints::Lines) -> Result<(), LocalError> {
    let Some(path) = &args.env_file else { return Ok(()) };
    endpoints::write_env_file(path, lines)
        .map_err(|source| LocalError::Write { path: path.clone(), source })
}
