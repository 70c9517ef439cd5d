//! One run of `local` in a folder of its own, with fake workers.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;
use super::servers::Servers;

/// A folder with binaries, a manifest and state.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    servers: Servers,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("bin")).unwrap();
        for worker in ["ingest", "transcode", "delivery"] {
            let link = path.join("bin").join(format!("millrace-{worker}"));
            symlink(env!("CARGO_BIN_EXE_millrace-fake-worker"), link).unwrap();
        }
        let manifest = include_str!("../../../examples/keynote.yaml");
        fs::write(path.join("stream.yaml"), manifest).unwrap();
        Self { folder, servers: Servers::new() }
    }

    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.path("bin").join(name)
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.path("stream.yaml")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The operator, its standard input held open.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-operator"));
        command
            .args(["local", "-f"])
            .arg(self.manifest())
            .arg("--bin-dir")
            .arg(self.path("bin"))
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--env-file")
            .arg(self.path("env"))
            .args(arguments)
            .envs(self.servers.pairs());
        command
    }
}

/// A running `local`; dropping it stops it.
pub(crate) struct Run {
    place: Option<Place>,
    operator: Child,
}

impl Run {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_in(Place::new(name), arguments)
    }

    /// Started, and ready.
    pub(crate) fn start_in(place: Place, arguments: &[&str]) -> Self {
        let mut command = place.command(arguments);
        command.stdin(Stdio::null());
        Self::spawn(place, command)
    }

    /// Started, to end with us, and ready.
    pub(crate) fn start_with_parent(name: &str) -> Self {
        let place = Place::new(name);
        let mut command = place.command(&[]);
        command.stdin(Stdio::piped()).env("EXIT_WITH_PARENT", "stdin");
        Self::spawn(place, command)
    }

    fn spawn(place: Place, mut command: Command) -> Self {
        let log = fs::File::create(place.path("log")).unwrap();
        let operator = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut run = Self { place: Some(place), operator };
        let began = Instant::now();
        while !run.env_file().exists() {
            let ended = run.operator.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{ended:?}\n{}", run.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        run
    }

    fn place(&self) -> &Place {
        self.place.as_ref().unwrap()
    }

    pub(crate) fn env_file(&self) -> PathBuf {
        self.place().path("env")
    }

    pub(crate) fn log(&self) -> String {
        self.place().log()
    }

    pub(crate) fn redis_url(&self) -> &str {
        &self.place().servers.redis
    }

    /// What `--env-file` holds.
    pub(crate) fn lines(&self) -> BTreeMap<String, String> {
        pairs(&self.env_file())
    }

    /// What the worker was started with.
    pub(crate) fn environment(&self, worker: &str) -> BTreeMap<String, String> {
        pairs(&self.place().bin(&format!("millrace-{worker}.env")))
    }

    pub(crate) fn pid(&self, name: &str) -> i32 {
        self.lines()[name].parse().unwrap()
    }

    pub(crate) fn pids(&self) -> Vec<i32> {
        ["INGEST_PID", "TRANSCODE_PID", "DELIVERY_PID"].map(|name| self.pid(name)).to_vec()
    }

    pub(crate) fn close_stdin(&mut self) {
        drop(self.operator.stdin.take());
    }

    pub(crate) fn operator_pid(&self) -> i32 {
        i32::try_from(self.operator.id()).unwrap()
    }

    pub(crate) fn kill_operator(&mut self) {
        self.operator.kill().unwrap();
        self.operator.wait().unwrap();
    }

    /// Ask it to stop; it has to end well.
    pub(crate) fn stop(mut self) -> Place {
        let place = self.place.take().unwrap();
        let pid = Pid::from_raw(i32::try_from(self.operator.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let status = self.operator.wait().unwrap();
        assert!(status.success(), "{status}\n{}", place.log());
        place
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(None) = self.operator.try_wait() {
            let pid = i32::try_from(self.operator.id()).map(Pid::from_raw);
            let _ = pid.map(|pid| kill(pid, Signal::SIGTERM));
            let _ = self.operator.wait();
        }
    }
}

fn pairs(path: &Path) -> BTreeMap<String, String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn kill_hard(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// Running; a process that has ended and waits to be reaped is not.
pub(crate) fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
