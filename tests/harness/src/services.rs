//! Private Postgres, Redis and Kafka, through the scripts of tests/services.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::repo;
use crate::server::Kind;

/// Where the servers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Superuser URL of the Postgres server's `postgres` database.
    pub database: String,
    /// `redis://host:port`, without a database number.
    pub redis: String,
    /// `host:port,…`
    pub kafka: String,
}

/// An S3 server; there is one where Go is, which it is built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// `host:port`; it speaks no TLS.
    pub address: String,
}

impl S3 {
    /// Whether this machine can have one.
    pub fn is_possible() -> bool {
        let go = std::process::Command::new("go").arg("version").output();
        go.is_ok_and(|output| output.status.success())
    }

    /// What a Millrace is told that stores there, reached at another address.
    pub fn environment(&self, address: &str, prefix: &str) -> Vec<(String, String)> {
        [
            ("OBJECT_STORE_URL", format!("s3://millrace/{prefix}")),
            ("S3_ENDPOINT", format!("http://{address}")),
            ("S3_REGION", "us-east-1".to_owned()),
            ("S3_ACCESS_KEY_ID", "millrace".to_owned()),
            ("S3_SECRET_ACCESS_KEY", "millrace-secret".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl Addresses {
    /// Those that `make test` starts for all tests.
    ///
    /// # Errors
    /// When a `TEST_*` variable is not set.
    pub fn of_tests() -> Result<Self> {
        let get = |name: &str| {
            env::var(name).with_context(|| format!("{name} is not set: run `make test`"))
        };
        Ok(Self {
            database: get("TEST_DATABASE_URL")?,
            redis: get("TEST_REDIS_URL")?,
            kafka: get("TEST_KAFKA_BROKERS")?,
        })
    }
}

/// Servers in a folder. They are processes of their own: dropping this leaves them running.
#[derive(Debug)]
pub struct Servers {
    folder: PathBuf,
    durability: Durability,
    addresses: Addresses,
    brokers: u8,
    s3: Option<S3>,
}

/// What there is beside one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More {
    /// An S3 server.
    pub s3: bool,
    /// Brokers of Kafka: one, or three with every record on each of them.
    pub brokers: u8,
}

/// Whether data survives a restart and a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Kept.
    Durable,
    /// Written carelessly, for speed.
    Throwaway,
}

impl Servers {
    /// Starts them in `folder` on free ports, or finds them running there.
    ///
    /// # Errors
    /// When one does not start; the scripts have said why on stderr.
    pub async fn start(folder: &Path, durability: Durability) -> Result<Self> {
        Self::start_with(folder, durability, &More { s3: false, brokers: 1 }).await
    }

    /// The same, with more of them.
    ///
    /// # Errors
    /// When one does not start; the scripts have said why on stderr.
    pub async fn start_with(folder: &Path, durability: Durability, more: &More) -> Result<Self> {
        let More { s3, brokers } = *more;
        let output = script("up.sh")
            .arg(folder)
            .env("S3", if s3 { "1" } else { "0" })
            .env("KAFKA_NODES", brokers.to_string())
            .env("DURABLE", if durability == Durability::Durable { "1" } else { "0" })
            .stderr(std::process::Stdio::inherit())
            .output()
            .await
            .context("running tests/services/up.sh")?;
        if !output.status.success() {
            bail!("Postgres, Redis or Kafka did not start (above)");
        }
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut variables: HashMap<&str, &str> = lines
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .collect();
        let mut take = |name: &str| {
            variables
                .remove(name)
                .map(str::to_owned)
                .with_context(|| format!("up.sh did not print {name}"))
        };
        let s3 = if s3 {
            let url = take("TEST_S3_ENDPOINT")?;
            Some(S3 { address: url.trim_start_matches("http://").to_owned() })
        } else {
            None
        };
        Ok(Self {
            folder: folder.to_owned(),
            durability,
            brokers,
            s3,
            addresses: Addresses {
                database: take("TEST_DATABASE_URL")?,
                redis: take("TEST_REDIS_URL")?,
                kafka: take("TEST_KAFKA_BROKERS")?,
            },
        })
    }

    /// Where they are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The S3 server, if it was asked for.
    pub fn s3(&self) -> Option<&S3> {
        self.s3.as_ref()
    }

    /// Sends a server's process a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, server: Kind, signal: Signal) -> Result<()> {
        let folder = self.folder.join(server.name());
        let files = match server {
            Kind::Kafka => self.nodes().map(|node| folder.join(format!("{node}/pid"))).collect(),
            Kind::Redis | Kind::Postgres => vec![folder.join("pid")],
        };
        files.iter().try_for_each(|file| send(server, file, signal))
    }

    fn nodes(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.brokers
    }

    /// Kills one broker, the one with this number from 1 on.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill_broker(&self, node: u8) -> Result<()> {
        self.tell(Kind::Kafka, "kill-node", &[&node.to_string()]).await
    }

    /// Starts the broker again.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_broker(&self, node: u8) -> Result<()> {
        self.tell(Kind::Kafka, "start-node", &[&node.to_string()]).await
    }

    /// Kills one, as a crash would. What it wrote to disk stays.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&self, server: Kind) -> Result<()> {
        self.tell(server, "stop", &["fast"]).await
    }

    /// Starts one that was killed where it was, with what it has on disk.
    ///
    /// # Errors
    /// When it does not start; the script has said why on stderr.
    pub async fn start_again(&self, server: Kind) -> Result<()> {
        let port = self.folder.join(format!("{}.port", server.name()));
        let port = fs::read_to_string(&port).with_context(|| port.display().to_string())?;
        let arguments = match (server, self.durability) {
            // They know where they were, and need each other to come up.
            (Kind::Kafka, _) => {
                let nodes = self.nodes().map(|node| self.start_broker(node));
                return futures::future::try_join_all(nodes).await.map(drop);
            }
            (_, Durability::Durable) => vec![port.trim(), "durable"],
            (_, Durability::Throwaway) => vec![port.trim()],
        };
        self.tell(server, "start", &arguments).await
    }

    async fn tell(&self, server: Kind, verb: &str, arguments: &[&str]) -> Result<()> {
        let status = script(server.script())
            .arg(verb)
            .arg(self.folder.join(server.name()))
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .status()
            .await
            .with_context(|| format!("running {}", server.script()))?;
        ensure!(status.success(), "{server:?}: {verb} failed");
        Ok(())
    }

    /// Ends them; their data stays.
    ///
    /// # Errors
    /// When one does not end.
    pub async fn stop(self) -> Result<()> {
        stop(&self.folder).await
    }
}

/// Signals the process of a pid file.
fn send(server: Kind, file: &Path, signal: Signal) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let pid = text.split_whitespace().next().unwrap_or_default();
    let pid = Pid::from_raw(pid.parse().with_context(|| format!("{}: {text}", file.display()))?);
    kill(pid, signal).with_context(|| format!("{signal} to {server:?} {pid}"))
}

/// Ends whatever servers run in `folder`; their data stays.
///
/// # Errors
/// When one does not end.
pub async fn stop(folder: &Path) -> Result<()> {
    down(folder, &[]).await
}

/// Ends whatever servers run in `folder` and deletes their data and the folder.
///
/// # Errors
/// When one does not end.
pub async fn discard(folder: &Path) -> Result<()> {
    down(folder, &["drop"]).await
}

async fn down(folder: &Path, arguments: &[&str]) -> Result<()> {
    let status = script("down.sh")
        .arg(folder)
        .args(arguments)
        .status()
        .await
        .context("running tests/services/down.sh")?;
    if !status.success() {
        bail!("the servers in {} did not end", folder.display());
    }
    Ok(())
}

/// Creates the database `name` on the server of `superuser_url` and returns its URL.
///
/// # Errors
/// When psql cannot connect or the name is taken.
pub async fn create_database(superuser_url: &str, name: &str) -> Result<String> {
    psql(superuser_url, &format!("create database \"{name}\"")).await?;
    let (server, _) = superuser_url.rsplit_once('/').context("the database URL has no path")?;
    Ok(format!("{server}/{name}"))
}

/// Runs one statement and returns its rows: values separated by `|`, one row a line.
///
/// # Errors
/// When psql cannot connect or the statement fails.
pub async fn psql(url: &str, statement: &str) -> Result<String> {
    let output = Command::new("psql")
        .args(["-XqtA", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statement])
        .output()
        .await
        .context("running psql")?;
    if !output.status.success() {
        bail!("{statement}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn script(name: &str) -> Command {
    let mut command = Command::new(repo::root().join("tests/services").join(name));
    // A terminal's Ctrl-C is for the program that calls this: half-started servers would stay.
    command.stdin(std::process::Stdio::null()).process_group(0);
    command
}
