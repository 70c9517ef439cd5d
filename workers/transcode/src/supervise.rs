//! `millrace-transcode supervise`: a container's first process.
//!
//! It starts the worker as its child and starts it again at once when it dies:
//! the kubelet would wait for up to minutes. It passes the signal to end on,
//! reaps what the worker leaves, and ends an ffmpeg that outlived it. It knows
//! nothing of the worker's work, and holds no port.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use millrace_platform::backoff::Backoff;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The worker's code when another process has gone on with its stream: to be at
/// once back would be to fight it, so the kubelet may wait.
pub const OVERTAKEN: u8 = 75;
/// The hidden argument of a worker that has such a parent.
pub const SUPERVISED: &str = "--supervised";
/// A worker that lived for less died young.
const YOUNG: Duration = Duration::from_secs(10);
/// So many in a row that died young are no accident: the container ends, so that
/// it can be seen to fail.
const MOST_YOUNG: u32 = 10;
/// How long a worker that was told to end may take: more than it gives itself.
const GRACE: Duration = Duration::from_secs(15);

/// How the worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Code(i32),
    Signal(i32),
}

impl End {
    /// The code that a shell would give it.
    fn code(self) -> u8 {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        };
        u8::try_from(code).unwrap_or(1)
    }
}

/// What follows from an end.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Exit(u8),
    /// Another worker, after a wait.
    Again(Duration),
}

/// When to start another worker. Pure but for the jitter.
#[derive(Debug)]
struct Restarts {
    backoff: Backoff,
}

impl Restarts {
    fn new() -> Self {
        Self { backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2)) }
    }

    /// A worker `lived` for so long; it was `told` to end or not.
    fn after(&mut self, end: End, lived: Duration, told: bool) -> Next {
        let code = end.code();
        if told || code == 0 || code == OVERTAKEN {
            return Next::Exit(code);
        }
        if lived >= YOUNG {
            self.backoff.reset();
            return Next::Again(Duration::ZERO);
        }
        if self.backoff.attempts() >= MOST_YOUNG {
            return Next::Exit(code.max(1));
        }
        Next::Again(self.backoff.next_delay())
    }
}

/// The signals this process takes.
struct Told {
    terminate: Signals,
    interrupt: Signals,
    child: Signals,
}

/// What a wait ended with.
enum Woken {
    ToEnd,
    Child,
    Late,
}

impl Told {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            child: signal(SignalKind::child())?,
        })
    }

    /// Waits for a signal, or until `late`.
    async fn next(&mut self, late: Option<Instant>) -> Woken {
        let late = async {
            match late {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Woken::ToEnd,
            _ = self.interrupt.recv() => Woken::ToEnd,
            _ = self.child.recv() => Woken::Child,
            () = late => Woken::Late,
        }
    }
}

/// Keeps a worker of this program running until it ends by itself or this
/// process is told to end.
///
/// # Errors
/// When a worker can't be started, or this process takes no signals.
pub async fn run(program: &Path) -> io::Result<ExitCode> {
    // The settings in this process's environment are not for ffmpeg either.
    prctl::set_dumpable(false)?;
    prctl::set_child_subreaper(true)?;
    let mut told = Told::new()?;
    let mut restarts = Restarts::new();
    loop {
        let began = Instant::now();
        let worker = start(program)?;
        let (end, was_told) = watch(worker, &mut told).await?;
        match restarts.after(end, began.elapsed(), was_told) {
            Next::Exit(code) => return Ok(ExitCode::from(code)),
            Next::Again(wait) => {
                eprintln!("the worker ended with {end:?}: another one starts in {wait:?}");
                if !rest(wait, &mut told).await {
                    return Ok(ExitCode::from(end.code()));
                }
            }
        }
    }
}

/// In a group of its own, with all that it starts.
fn start(program: &Path) -> io::Result<Pid> {
    let child = Command::new(program).arg(SUPERVISED).process_group(0).spawn()?;
    let id = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(Pid::from_raw(id))
}

/// How the worker ended, and whether it was told to.
async fn watch(worker: Pid, told: &mut Told) -> io::Result<(End, bool)> {
    let mut deadline = None;
    loop {
        if let Some(end) = ended(worker)? {
            return Ok((end, deadline.is_some()));
        }
        match told.next(deadline).await {
            Woken::Child => {}
            Woken::ToEnd => {
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
                // It may have ended meanwhile: it is not reaped yet.
                kill(worker, Signal::SIGTERM)?;
            }
            Woken::Late => {
                deadline = Some(Instant::now() + GRACE);
                killpg(worker, Signal::SIGKILL)?;
            }
        }
    }
}

/// Reaps all that has ended; says how the worker did, if it has.
fn ended(worker: Pid) -> io::Result<Option<End>> {
    // Looked at first: while it is not reaped its number is nobody else's.
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let over = waitid(Id::Pid(worker), look)? != WaitStatus::StillAlive;
    if over {
        // Its encoder has nobody to work for.
        let _ = killpg(worker, Signal::SIGKILL);
    }
    let mut end = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(id, code)) if id == worker => end = Some(End::Code(code)),
            Ok(WaitStatus::Signaled(id, signal, _)) if id == worker => {
                end = Some(End::Signal(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(end),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits before the next worker; false when told to end.
async fn rest(wait: Duration, told: &mut Told) -> bool {
    let until = Instant::now() + wait;
    loop {
        match told.next(Some(until)).await {
            Woken::Child => {}
            Woken::ToEnd => return false,
            Woken::Late => return true,
        }
    }
}

/// For a worker that has such a parent: it ends when that does.
///
/// # Errors
/// When the system refuses.
pub fn end_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGTERM)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(11);
    const SHORT: Duration = Duration::from_secs(1);

    #[test]
    fn a_worker_that_lived_is_back_at_once_and_one_that_dies_young_waits_longer_each_time() {
        let mut restarts = Restarts::new();
        let killed = End::Signal(9);
        assert_eq!(restarts.after(killed, LONG, false), Next::Again(Duration::ZERO));
        let waits: Vec<_> = (0..MOST_YOUNG)
            .map(|_| match restarts.after(killed, SHORT, false) {
                Next::Again(wait) => wait.as_millis(),
                Next::Exit(code) => panic!("{code}"),
            })
            .collect();
        assert!((25..=50).contains(&waits[0]), "{waits:?}");
        assert!(waits[6..].iter().all(|wait| (1_000..=2_000).contains(wait)), "{waits:?}");
        assert_eq!(restarts.after(killed, SHORT, false), Next::Exit(137));
    }

    #[test]
    fn one_that_lived_in_between_makes_up_for_those_that_died_young() {
        let mut restarts = Restarts::new();
        for n in 1..100 {
            let lived = if n % 10 == 0 { LONG } else { SHORT };
            let next = restarts.after(End::Code(1), lived, false);
            assert!(matches!(next, Next::Again(_)), "{n}");
        }
    }

    #[test]
    fn the_workers_code_is_passed_on_when_it_is_not_to_come_back() {
        let mut restarts = Restarts::new();
        assert_eq!(restarts.after(End::Code(0), SHORT, false), Next::Exit(0));
        assert_eq!(restarts.after(End::Code(75), SHORT, false), Next::Exit(OVERTAKEN));
        assert_eq!(restarts.after(End::Code(1), LONG, true), Next::Exit(1));
        assert_eq!(restarts.after(End::Signal(15), LONG, true), Next::Exit(143));
    }
}
