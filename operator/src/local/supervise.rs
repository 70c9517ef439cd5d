//! Child processes: started, restarted with back-off when they end, and
//! stopped so that nothing of them is left.
//!
//! Each child leads a process group of its own. It ends with the operator in
//! either way: asked by SIGTERM (then, after [`GRACE`], killed with its
//! group), or, when the operator itself was killed, by the end of the pipe
//! that is its stdin (`EXIT_WITH_PARENT`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::logs::prefix_lines;
use super::pods::ProcessPlan;

/// A child that was asked to go has this long.
const GRACE: Duration = Duration::from_secs(10);

/// What a supervised process is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not started yet, or between two runs, with how the last one ended.
    Down(Option<String>),
    /// Running under this process id.
    Running(u32),
}

/// Keep a process running until `stop`; then stop it and return.
pub(super) async fn keep_running(
    plan: ProcessPlan,
    log_dir: Option<PathBuf>,
    state: watch::Sender<State>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let ended = match start(&plan, log_dir.as_deref()) {
            Ok((mut child, logs)) => {
                let pid = child.id().unwrap_or_default();
                info!(process = plan.name, pid, "started");
                state.send_replace(State::Running(pid));
                let ended = run(&mut child, pid, &stop).await;
                // What a worker that was killed left running, ffmpeg say.
                signal_group(pid, Signal::SIGKILL);
                drain(logs).await;
                ended
            }
            Err(error) => format!("could not be started: {error}"),
        };
        state.send_replace(State::Down(Some(ended.clone())));
        if stop.is_cancelled() {
            info!(process = plan.name, ended, "stopped");
            return;
        }
        let wait = backoff.after(began.elapsed());
        warn!(process = plan.name, ended, restart_in = ?wait, "ended by itself");
        let _ = timeout(wait, stop.cancelled()).await;
    }
}

/// Start it; with the tasks that copy its output, if any.
fn start(plan: &ProcessPlan, log_dir: Option<&Path>) -> io::Result<(Child, JoinSet<()>)> {
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .env_clear()
        .envs(&plan.environment)
        .process_group(0)
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    if let Some(log_dir) = log_dir {
        let file = log_file(log_dir, &plan.name)?;
        command.stdout(file.try_clone()?).stderr(file);
    } else {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.spawn()?;
    let mut logs = JoinSet::new();
    if let Some(stdout) = child.stdout.take() {
        let name = plan.name.clone();
        logs.spawn(async move { prefix_lines(&name, stdout).await });
    }
    if let Some(stderr) = child.stderr.take() {
        let name = plan.name.clone();
        logs.spawn(async move { prefix_lines(&name, stderr).await });
    }
    Ok((child, logs))
}

/// `events.keynote/ingest` logs to `events.keynote-ingest.log`.
fn log_file(log_dir: &Path, name: &str) -> io::Result<File> {
    let path = log_dir.join(format!("{}.log", name.replace('/', "-")));
    File::options().create(true).append(true).open(path)
}

/// Wait until it ends, by itself or because of `stop`; says how it ended.
async fn run(child: &mut Child, pid: u32, stop: &CancellationToken) -> String {
    // `wait` would close the pipe, and that is the sign for the child to end.
    let stdin = child.stdin.take();
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        () = stop.cancelled() => None,
    };
    let ended = if let Some(status) = ended { status } else { end(child, pid).await };
    drop(stdin);
    describe(ended)
}

/// Ask it to go; after a while, make it.
async fn end(child: &mut Child, pid: u32) -> io::Result<ExitStatus> {
    signal(pid, Signal::SIGTERM);
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return status;
    }
    warn!(pid, "still there 10 s after SIGTERM, killed");
    signal_group(pid, Signal::SIGKILL);
    child.wait().await
}

fn describe(ended: io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Let what was printed last be copied; a grandchild that holds the pipe was
/// killed, so this ends, and if it doesn't nobody waits for it.
async fn drain(mut logs: JoinSet<()>) {
    let _ =
        timeout(Duration::from_secs(1), async { while logs.join_next().await.is_some() {} }).await;
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        log_failure(kill(pid, signal));
    }
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        log_failure(killpg(pid, signal));
    }
}

/// 0 would be our own group.
fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

fn log_failure(sent: nix::Result<()>) {
    match sent {
        // Gone already.
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => warn!(%error, "a signal could not be sent"),
    }
}
