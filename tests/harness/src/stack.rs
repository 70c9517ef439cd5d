//! A whole Millrace: a migrated database and `millrace-operator local` with its workers.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::ports;
use crate::process::{Child, ProcessId, descendants};
use crate::services::{self, Addresses};

/// What a stack is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The LiveStream's manifest.
    pub manifest: PathBuf,
    /// Where state, media, logs and the env file go.
    pub folder: PathBuf,
    /// Where the programs are.
    pub programs: PathBuf,
    /// The servers; `database` is the stack's own database.
    pub servers: Addresses,
    /// The installation id, so that stacks can share servers; may be empty.
    pub installation: String,
    /// More environment for the operator and what it starts.
    pub environment: Vec<(String, String)>,
}

/// A running stack. Dropping it kills its processes.
#[derive(Debug)]
pub struct Stack {
    operator: Child,
    folder: PathBuf,
    endpoints: Endpoints,
}

/// Where a stack is reached.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Without the key.
    pub rtmp: String,
    /// The publish key.
    pub key: String,
    /// The multivariant playlist.
    pub hls: String,
    /// The player page.
    pub player: String,
    /// The administrators' API.
    pub api: String,
    /// A token for it.
    pub token: String,
    /// The WebSocket.
    pub ws: String,
    /// Metrics pages, separated by commas.
    pub metrics: String,
}

impl Endpoints {
    fn read(path: &Path) -> Result<Self> {
        let values = variables(path)?;
        let get = |name: &str| {
            let value = values.get(name).filter(|value| !value.is_empty());
            value.cloned().with_context(|| format!("no {name} in {}", path.display()))
        };
        Ok(Self {
            rtmp: get("RTMP_URL")?,
            key: get("STREAM_KEY")?,
            hls: get("HLS_URL")?,
            player: get("PLAYER_URL")?,
            api: get("API_URL")?,
            token: get("API_TOKEN")?,
            ws: get("WS_URL")?,
            metrics: get("METRICS_URLS")?,
        })
    }

    /// `GET /api/v1/streams/{stream_id}` of this stream.
    pub fn status_url(&self) -> String {
        let base = self.api.trim_end_matches('/').trim_end_matches("/api/v1");
        format!("{base}/api/v1/streams/{}", self.stream_id())
    }

    /// From the playlist's URL: `…/hls/{stream_id}/index.m3u8`.
    pub fn stream_id(&self) -> &str {
        self.hls.rsplit('/').nth(1).unwrap_or_default()
    }
}

/// A worker that the operator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worker {
    /// RTMP to the log.
    Ingest,
    /// The log to media.
    Transcode,
    /// Media to viewers.
    Delivery,
}

impl Worker {
    fn variable(self) -> &'static str {
        match self {
            Self::Ingest => "INGEST_PID",
            Self::Transcode => "TRANSCODE_PID",
            Self::Delivery => "DELIVERY_PID",
        }
    }
}

impl Stack {
    /// Migrates the database, starts the operator and waits until every worker is reachable.
    ///
    /// # Errors
    /// When a step fails, with the end of the log that says why.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let folder = &plan.folder;
        for name in ["state", "media", "logs"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        }
        migrate(plan).await?;
        let env_file = folder.join("operator.env");
        // One of an earlier run would be read as this run's.
        let _ = fs::remove_file(&env_file);
        let mut command = plan.operator();
        // Everybody with no more than the rights of its role.
        for (role, variable) in [
            ("control", "DATABASE_URL"),
            ("worker", "DATABASE_WORKER_URL"),
            ("viewer", "DATABASE_VIEWER_URL"),
        ] {
            command.env(variable, as_role(&plan.servers.database, role)?);
        }
        command
            .arg("local")
            .arg("-f")
            .arg(&plan.manifest)
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--env-file")
            .arg(&env_file)
            .arg("--log-dir")
            .arg(folder.join("logs"))
            .arg("--bin-dir")
            .arg(&plan.programs)
            .args(["--listen", "127.0.0.1"]);
        let mut operator = Child::spawn(
            "millrace-operator local",
            &mut command,
            &folder.join("logs/operator.log"),
        )?;
        let deadline = Instant::now() + Duration::from_mins(1);
        let endpoints = loop {
            operator.check()?;
            match Endpoints::read(&env_file) {
                Ok(endpoints) => break endpoints,
                Err(error) if Instant::now() > deadline => {
                    let said = operator.log_tail(20);
                    return Err(
                        error.context(format!("Millrace did not start within 60 s:\n{said}"))
                    );
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        };
        Ok(Self { operator, folder: folder.clone(), endpoints })
    }

    /// Where it is reached.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The folder with its logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fails with the end of its log if the operator has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.operator.check()
    }

    /// The worker's process now: after a restart, another.
    ///
    /// # Errors
    /// When the env file does not name one.
    pub fn pid(&self, worker: Worker) -> Result<Pid> {
        let path = self.folder.join("operator.env");
        let name = worker.variable();
        let values = variables(&path)?;
        let text = values.get(name).with_context(|| format!("no {name} in {}", path.display()))?;
        Ok(Pid::from_raw(text.parse().with_context(|| format!("{name}={text}"))?))
    }

    /// The processes of the transcoders, where there are two; one that is being started again is
    /// left out.
    ///
    /// # Errors
    /// When the env file does not name them.
    pub fn transcoders(&self) -> Result<Vec<Pid>> {
        let path = self.folder.join("operator.env");
        let values = variables(&path)?;
        let text = values
            .get("TRANSCODE_PIDS")
            .with_context(|| format!("no TRANSCODE_PIDS in {}", path.display()))?;
        text.split(',')
            .filter(|pid| !pid.is_empty())
            .map(|pid| Ok(Pid::from_raw(pid.parse().with_context(|| text.clone())?)))
            .collect()
    }

    /// The transcoder that writes, of two, and the one that stands by: only a writer has an
    /// encoder.
    ///
    /// # Errors
    /// When not both run, or not one of them encodes.
    pub fn writer_and_standby(&self) -> Result<(Pid, Pid)> {
        let encodes = |pid: &Pid| !descendants(*pid).is_empty();
        match self.transcoders()?.as_slice() {
            [one, other] if encodes(one) && !encodes(other) => Ok((*one, *other)),
            [one, other] if encodes(other) && !encodes(one) => Ok((*other, *one)),
            pids => bail!("{pids:?}: not one writer and one standby"),
        }
    }

    /// Sends a worker a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, worker: Worker, signal: Signal) -> Result<()> {
        let pid = self.pid(worker)?;
        kill(pid, signal).with_context(|| format!("{signal} to {worker:?} {pid}"))
    }

    /// The ffmpeg of the transcoder.
    ///
    /// # Errors
    /// When it has none now, or several.
    pub fn encoder(&self) -> Result<ProcessId> {
        let transcoder = self.pid(Worker::Transcode)?;
        match descendants(transcoder).as_slice() {
            [encoder] => Ok(*encoder),
            others => bail!("{} encoders of {transcoder}", others.len()),
        }
    }

    /// Kills a worker as a crash would, and waits until another runs in its place.
    ///
    /// # Errors
    /// When it cannot be killed or none comes back in 30 s.
    pub async fn crash(&self, worker: Worker) -> Result<()> {
        let old = self.pid(worker)?;
        self.signal(worker, Signal::SIGKILL)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        // None is named while none runs.
        while self.pid(worker).map_or(true, |new| new == old) {
            if Instant::now() > deadline {
                bail!("{worker:?} was not started again within 30 s");
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The operator's own process.
    pub fn operator(&self) -> Pid {
        self.operator.pid()
    }

    /// Starts another process of a worker, as one on a node that cannot be reached would go on.
    ///
    /// # Errors
    /// When the environment of the one that runs cannot be read, which takes root.
    pub fn start_beside(&self, worker: Worker) -> Result<Child> {
        self.start_beside_with(worker, &[("HEALTH_PORT", "0")])
    }

    /// Starts a second delivery, as another replica; says where viewers reach it.
    ///
    /// # Errors
    /// As [`Stack::start_beside`], or when there are no free ports.
    pub fn start_replica(&self) -> Result<(Child, SocketAddr)> {
        let (http, admin) = (ports::free()?, ports::free()?);
        let variables = [("HTTP_PORT", http.to_string()), ("ADMIN_PORT", admin.to_string())];
        let variables = variables.each_ref().map(|(name, port)| (*name, port.as_str()));
        let child = self.start_beside_with(Worker::Delivery, &variables)?;
        Ok((child, SocketAddr::from(([127, 0, 0, 1], http))))
    }

    fn start_beside_with(&self, worker: Worker, other: &[(&str, &str)]) -> Result<Child> {
        let place = format!("/proc/{}", self.pid(worker)?);
        let environ = fs::read(format!("{place}/environ"))
            .with_context(|| format!("reading the environment of {worker:?} (as root?)"))?;
        let variables = environ.split(|byte| *byte == 0).filter_map(|variable| {
            let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
            // It has no parent to end with.
            (name != "EXIT_WITH_PARENT").then_some((name, value))
        });
        let program = fs::read_link(format!("{place}/exe"))?;
        let mut command = Command::new(program);
        command.env_clear().envs(variables).envs(other.iter().copied());
        let name = format!("another {worker:?}");
        Child::spawn(&name, &mut command, &self.folder.join("logs/another.log"))
    }

    /// Ends the operator, which ends its workers.
    pub async fn stop(mut self) {
        self.operator.stop(Duration::from_secs(20)).await;
    }
}

impl Drop for Stack {
    // A failed test unwinds through here, and its workers must not outlive it: they lead process
    // groups of their own, so the operator's end alone would not end them.
    fn drop(&mut self) {
        let workers = descendants(self.operator.pid());
        self.operator.kill_now();
        for worker in workers {
            worker.kill();
        }
    }
}

impl Plan {
    fn operator(&self) -> Command {
        let mut command = Command::new(self.programs.join("millrace-operator"));
        command
            .env("DATABASE_URL", &self.servers.database)
            .env("REDIS_URL", &self.servers.redis)
            .env("KAFKA_BROKERS", &self.servers.kafka)
            .env("OBJECT_STORE_URL", format!("file://{}", self.folder.join("media").display()))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if !self.installation.is_empty() {
            command.env("MILLRACE_INSTALLATION", &self.installation);
        }
        command
    }
}

async fn migrate(plan: &Plan) -> Result<()> {
    let mut command = plan.operator();
    for role in ["control", "worker", "viewer"] {
        let variable = format!("DATABASE_ROLE_{}", role.to_uppercase());
        command.env(variable, format!("millrace_{role}"));
    }
    let output =
        command.arg("migrate").stdin(Stdio::null()).output().await.with_context(|| {
            format!("running millrace-operator from {}", plan.programs.display())
        })?;
    if !output.status.success() {
        bail!("millrace-operator migrate: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The URL of a server that trusts whoever comes, with another user.
fn as_role(owner: &str, role: &str) -> Result<String> {
    let (_, place) = owner.split_once('@').context("the database URL has no user")?;
    Ok(format!("postgres://millrace_{role}@{place}"))
}

/// Creates the database `name` unless it is there, and returns its URL.
///
/// # Errors
/// When Postgres refuses.
pub async fn database(superuser_url: &str, name: &str) -> Result<String> {
    let there = services::psql(
        superuser_url,
        &format!("select 1 from pg_database where datname = '{name}'"),
    )
    .await?;
    if there.is_empty() {
        return services::create_database(superuser_url, name).await;
    }
    let (server, _) = superuser_url.rsplit_once('/').context("the database URL has no path")?;
    Ok(format!("{server}/{name}"))
}

/// `NAME=value` lines.
fn variables(path: &Path) -> Result<HashMap<String, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
