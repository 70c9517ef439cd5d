//! A container's first process, with real ones.

#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);
const PROGRAM: &str = env!("CARGO_BIN_EXE_millrace-transcode");

/// A first process and its place.
struct First {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl First {
    /// With settings of servers that are not there: a worker runs all the same.
    fn start(ffmpeg: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(PROGRAM)
            .arg("supervise")
            .env("STREAM_ID", "events.keynote")
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("REDIS_URL", "redis://127.0.0.1:1")
            .env("OBJECT_STORE_URL", format!("file://{}", folder.path().display()))
            .env("HEALTH_PORT", port.to_string())
            .env("LISTEN_ADDRESS", "127.0.0.1")
            .env("FFMPEG_PATH", ffmpeg)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port, _folder: folder }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The worker that answers on the health port, another than `before`.
    fn worker(&self, before: Option<Pid>) -> Pid {
        until(|| {
            let worker = children(self.pid()).into_iter().find(|pid| Some(*pid) != before)?;
            listened(self.port).then_some(worker)
        })
    }

    fn ends(mut self) -> ExitStatus {
        until(|| self.child.try_wait().unwrap())
    }

    fn tell(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }
}

impl Drop for First {
    fn drop(&mut self) {
        for pid in children(self.pid()) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(mut seen: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(it) = seen() {
            return it;
        }
        assert!(begun.elapsed() < PATIENCE, "it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether somebody listens there. Not by a connection: one to a port that is
/// free may be answered by itself.
fn listened(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|line| line.contains(&format!(":{port:04X} 00000000:0000 0A")))
}

/// Parent and state of each process, by number.
fn processes() -> impl Iterator<Item = (Pid, Pid, String)> {
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut words = stat.rsplit(") ").next()?.split(' ');
        let state = words.next()?.to_owned();
        Some((Pid::from_raw(pid), Pid::from_raw(words.next()?.parse().ok()?), state))
    })
}

fn children(of: Pid) -> Vec<Pid> {
    processes().filter(|(_, parent, state)| *parent == of && state != "Z").map(|p| p.0).collect()
}

fn runs(pid: Pid) -> bool {
    processes().any(|(there, _, state)| there == pid && state != "Z")
}

#[test]
fn a_worker_that_is_killed_is_back_on_its_port_and_the_first_process_ends_when_told() {
    let first = First::start(Path::new("ffmpeg"));
    let mut worker = first.worker(None);
    for _ in 0..3 {
        kill(worker, Signal::SIGKILL).unwrap();
        worker = first.worker(Some(worker));
    }
    assert!(processes().all(|(_, parent, state)| parent != first.pid() || state != "Z"));
    first.tell(Signal::SIGTERM);
    assert_eq!(first.ends().code(), Some(0));
    assert!(!runs(worker));
}

#[test]
fn a_worker_ends_with_its_first_process() {
    let first = First::start(Path::new("ffmpeg"));
    let worker = first.worker(None);
    first.tell(Signal::SIGKILL);
    assert_eq!(first.ends().signal(), Some(9));
    until(|| (!runs(worker)).then_some(()));
}

#[test]
fn what_a_killed_worker_started_ends_with_it() {
    // Stands in for an ffmpeg that hangs: it is asked for its encoders at the start.
    let folder = tempfile::tempdir().unwrap();
    let hangs = folder.path().join("ffmpeg");
    std::fs::write(&hangs, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hangs, mode).unwrap();
    let first = First::start(&hangs);
    let worker = until(|| children(first.pid()).first().copied());
    let orphan = until(|| children(worker).first().copied());
    kill(worker, Signal::SIGKILL).unwrap();
    until(|| (!runs(orphan)).then_some(()));
    until(|| children(first.pid()).into_iter().find(|pid| *pid != worker));
    first.tell(Signal::SIGTERM);
    first.tell(Signal::SIGTERM);
    first.ends();
}

#[test]
fn a_worker_that_can_not_start_ends_the_first_process_with_its_code_in_the_end() {
    let mut child = Command::new(PROGRAM)
        .arg("supervise")
        .env_remove("STREAM_ID")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
