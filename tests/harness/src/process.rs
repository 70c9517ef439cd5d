//! Child processes that are always ended, and processes found again after a crash.
//!
//! A [`Child`] leads a process group of its own: a terminal's Ctrl-C reaches only the program that
//! owns it, which then ends its children in order.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill, killpg};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// A running child. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct Child {
    name: String,
    group: Pid,
    inner: tokio::process::Child,
    log: Option<PathBuf>,
    ended: bool,
}

impl Child {
    /// Starts `command`; both its outputs go to the end of the file `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started; says which.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening the log {}", log.display()))?;
        let program = command.as_std().get_program().to_os_string();
        let inner = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name} ({})", program.display()))?;
        let id = inner.id().context("the process has no id")?;
        Ok(Self {
            name: name.to_owned(),
            group: Pid::from_raw(i32::try_from(id)?),
            inner,
            log: Some(log.to_owned()),
            ended: false,
        })
    }

    /// Its process id, which is its group's too.
    pub fn pid(&self) -> Pid {
        self.group
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.inner.try_wait()?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Fails with the end of its log if it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended ({status}):\n{}", self.name, self.log_tail(20))
            }
        }
    }

    /// The last lines it wrote.
    pub fn log_tail(&self, lines: usize) -> String {
        self.log.as_deref().map(|path| tail(path, lines)).unwrap_or_default()
    }

    /// Kills it, and only it, at once.
    pub fn kill_now(&mut self) {
        // Once it is waited for, its id may be somebody else's.
        if !self.ended {
            let _ = kill(self.group, Signal::SIGKILL);
        }
    }

    /// Asks its group to end, waits up to `patience`, then kills the group.
    pub async fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        if self.ended {
            return None;
        }
        let _ = kill(self.group, Signal::SIGTERM);
        let status = timeout(patience, self.inner.wait()).await.ok().and_then(Result::ok);
        let _ = killpg(self.group, Signal::SIGKILL);
        if status.is_none() {
            let _ = self.inner.wait().await;
        }
        self.ended = true;
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

/// Runs a tool to its end; it dies with the future.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub async fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("running {program}; `make install` installs it"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), said.trim());
    }
    Ok(())
}

/// The last `lines` lines of a text file; empty if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}

/// A process by id and start time: no other process ever equals it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId {
    pid: Pid,
    /// Clock ticks since boot.
    started: u64,
}

impl ProcessId {
    /// Of a running process; `None` when there is none, or only its zombie.
    pub fn of(pid: Pid) -> Option<Self> {
        Stat::read(pid).map(|stat| Self { pid, started: stat.started })
    }

    /// This very process.
    pub fn own() -> Option<Self> {
        Self::of(Pid::this())
    }

    /// Its id.
    pub fn pid(self) -> Pid {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// From a pid file of `PID STARTTIME`, the form of tests/services/lib.sh; only if it runs.
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let noted = Self { pid: Pid::from_raw(pid.parse().ok()?), started: started.parse().ok()? };
        noted.is_alive().then_some(noted)
    }

    /// Into such a pid file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(self, path: &Path) -> io::Result<()> {
        fs::write(path, format!("{} {}\n", self.pid, self.started))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone or is somebody else's.
    pub fn signal(self, signal: Signal) -> Result<()> {
        ensure!(self.is_alive(), "process {} is gone", self.pid);
        kill(self.pid, signal).with_context(|| format!("{signal} to process {}", self.pid))
    }

    /// Kills it at once.
    pub fn kill(self) {
        if self.is_alive() {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }

    /// Ends it: SIGTERM, and SIGKILL after `patience`. True when it is gone.
    pub async fn end(self, patience: Duration) -> bool {
        for (signal, limit) in
            [(Signal::SIGTERM, patience), (Signal::SIGKILL, Duration::from_secs(5))]
        {
            if !self.is_alive() {
                return true;
            }
            let _ = kill(self.pid, signal);
            let deadline = Instant::now() + limit;
            while self.is_alive() && Instant::now() < deadline {
                sleep(Duration::from_millis(20)).await;
            }
        }
        !self.is_alive()
    }
}

/// The fields we use of `/proc/<pid>/stat` (proc(5)).
struct Stat {
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets and may hold anything.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        if fields.next()? == "Z" {
            return None;
        }
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { parent, started })
    }
}

/// The running processes that `ancestor` started, and those that they started, and so on.
pub fn descendants(ancestor: Pid) -> Vec<ProcessId> {
    let all: Vec<(Pid, Stat)> = pids().filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let mut found: Vec<ProcessId> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in all.iter().filter(|(_, stat)| stat.parent == parent.as_raw()) {
            found.push(ProcessId { pid: *pid, started: stat.started });
            parents.push(*pid);
        }
    }
    found
}

fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

/// Every other running process whose program lies in `folder`, deleted or not.
pub fn running_from(folder: &Path) -> Vec<ProcessId> {
    let own = Pid::this();
    pids()
        .filter(|pid| *pid != own)
        .filter(|pid| program(*pid).is_some_and(|program| program.starts_with(folder)))
        .filter_map(ProcessId::of)
        .collect()
}

/// A process's memory in use, in bytes: VmRSS of proc(5).
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: Pid) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("the memory of process {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?;
    Ok(kb.parse::<u64>()? * 1_024)
}

/// User and system time of all threads of a process so far, those that have ended included.
///
/// It is the sum of utime and stime in /proc/PID/stat, not rounded to ticks of 10 ms: a relay
/// uses about eight of those in half a minute.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: Pid) -> Result<Duration> {
    let clock = clock_getcpuclockid(pid).and_then(ClockId::now);
    clock.map(Duration::from).with_context(|| format!("CPU time of process {pid}"))
}

/// The program that a process runs. One that hides (the transcoder) shows other users than root
/// only the name it was started by.
pub fn program(pid: Pid) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok().or_else(|| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let name = command.split(|byte| *byte == 0).next()?;
        Some(PathBuf::from(OsStr::from_bytes(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_equals_itself_and_nobody_who_got_its_id() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        let other = ProcessId { started: own.started + 1, ..own };
        assert!(!other.is_alive());
    }

    #[tokio::test]
    async fn a_dropped_child_takes_its_children_along() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let child = Child::spawn("sh", &mut command, &log).unwrap();
        let grandchild = loop {
            if let Ok(pid) = tail(&log, 1).trim().parse() {
                break ProcessId::of(Pid::from_raw(pid)).unwrap();
            }
            sleep(Duration::from_millis(5)).await;
        };
        drop(child);
        while grandchild.is_alive() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}
