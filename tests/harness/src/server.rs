//! A Redis, Postgres or Kafka of one test's own, to be stopped and started again.
//!
//! The servers of [`services`](crate::services) are everybody's: nobody may stop them.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::repo;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Keeps its data.
    Redis,
    /// Keeps its data.
    Postgres,
    /// One node; keeps its data.
    Kafka,
}

impl Kind {
    pub(crate) fn script(self) -> &'static str {
        match self {
            Self::Redis => "redis.sh",
            Self::Postgres => "postgres.sh",
            Self::Kafka => "kafka.sh",
        }
    }

    /// What its folder is called beside those of the others.
    pub(crate) fn name(self) -> &'static str {
        self.script().trim_end_matches(".sh")
    }

    /// What its script calls starting it where it was.
    pub(crate) fn verb_again(self) -> &'static str {
        if self == Self::Kafka { "start-node" } else { "start" }
    }
}

/// One server, kept over its stops. Dropped, it is ended and its data deleted.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts one on a free port; blocks until it is there.
    ///
    /// # Errors
    /// When it does not start; the script has said why on stderr.
    pub fn new(kind: Kind) -> Result<Self> {
        for _ in 0..5 {
            // Below the range of outgoing connections' ports. Kafka takes the next one too; the
            // scripts look whether they are free.
            let port = 15_000 + u16::try_from(uuid::Uuid::new_v4().as_u128() % 16_000)?;
            let server = Self { kind, folder: tempfile::tempdir()?, port };
            if server.launch().is_ok() {
                return Ok(server);
            }
        }
        bail!("no {kind:?} starts")
    }

    /// Where it is: a URL, for Kafka `host:port`.
    pub fn address(&self) -> String {
        let port = self.port;
        match self.kind {
            Kind::Redis => format!("redis://127.0.0.1:{port}"),
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            Kind::Kafka => format!("127.0.0.1:{port}"),
        }
    }

    /// Ends it; blocks until it is gone.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        let how: &[&str] = if self.kind == Kind::Kafka { &["fast"] } else { &[] };
        self.script("stop", how)
    }

    /// Starts it where it was, with what it had; blocks until it is there.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<()> {
        match self.kind {
            Kind::Kafka => self.script(self.kind.verb_again(), &["1"]),
            Kind::Redis | Kind::Postgres => self.launch(),
        }
    }

    /// Ends a Kafka and starts it again with another setting (`name=value`).
    ///
    /// # Errors
    /// When it does not end or start.
    pub fn restart_with(&self, setting: &str) -> Result<()> {
        self.stop()?;
        // Of two lines with one name the last counts.
        let settings = self.dir().join("1/server.properties");
        let mut file = File::options().append(true).open(settings)?;
        writeln!(file, "{setting}")?;
        self.start()
    }

    fn launch(&self) -> Result<()> {
        let port = self.port.to_string();
        let durable: &[&str] = if self.kind == Kind::Kafka { &[] } else { &["durable"] };
        self.script("start", &[&[port.as_str()], durable].concat())
    }

    fn script(&self, verb: &str, arguments: &[&str]) -> Result<()> {
        let script = repo::root().join("tests/services").join(self.kind.script());
        let status = Command::new(&script)
            .arg(verb)
            .arg(self.dir())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("running {}", script.display()))?;
        if !status.success() {
            bail!("{:?}: {verb} failed", self.kind);
        }
        Ok(())
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.script("stop", &["fast"]);
        if self.kind == Kind::Postgres {
            // Its data may be elsewhere.
            let _ = self.script("drop", &[]);
        }
    }
}
