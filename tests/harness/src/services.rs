//! Private Postgres, Redis and Kafka, through the scripts of tests/services.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::repo;

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
    addresses: Addresses,
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
        let output = script("up.sh")
            .arg(folder)
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
        Ok(Self {
            folder: folder.to_owned(),
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

    /// Ends them; their data stays.
    ///
    /// # Errors
    /// When one does not end.
    pub async fn stop(self) -> Result<()> {
        stop(&self.folder).await
    }
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
