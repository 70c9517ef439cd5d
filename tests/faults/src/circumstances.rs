//! With what and on what machine the faults were tried.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use millrace_harness::repo;
use serde::Serialize;
use tokio::process::Command;

/// For the head of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Circumstances {
    /// The same seed strikes at the same moments.
    pub(crate) seed: u64,
    pub(crate) cores: usize,
    pub(crate) system: String,
    pub(crate) kernel: String,
    /// The clone's commit, `+` when it has changes.
    pub(crate) commit: String,
    pub(crate) ffmpeg: String,
    pub(crate) redis: String,
    pub(crate) postgres: String,
}

impl Circumstances {
    pub(crate) async fn of(seed: u64) -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            seed,
            cores: available_parallelism().map_or(0, Into::into),
            system: system(&release),
            kernel: kernel.trim().to_owned(),
            commit: commit().await,
            // ffmpeg version 5.1.6-0+deb12u1 Copyright …
            ffmpeg: word("ffmpeg", &["-version"], 2).await,
            // redis-cli 7.0.15
            redis: word("redis-cli", &["--version"], 1).await,
            // psql (PostgreSQL) 15.10 …
            postgres: word("psql", &["--version"], 2).await,
        }
    }
}

impl fmt::Display for Circumstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, cores, system, commit, ffmpeg, .. } = self;
        write!(f, "Seed {seed}; {cores} cores, {system}; commit {commit}, ffmpeg {ffmpeg}.")
    }
}

/// `PRETTY_NAME` of /etc/os-release.
fn system(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown system").trim_matches('"').to_owned()
}

async fn commit() -> String {
    let root = repo::root().display().to_string();
    let commit = said("git", &["-C", &root, "rev-parse", "--short", "HEAD"]).await;
    let changes = said("git", &["-C", &root, "status", "--porcelain", "-uno"]).await;
    let mark = if changes.is_empty() { "" } else { "+" };
    if commit.is_empty() { "unknown".to_owned() } else { format!("{commit}{mark}") }
}

/// A word of the first line that a program says.
async fn word(program: &str, arguments: &[&str], number: usize) -> String {
    let said = said(program, arguments).await;
    said.split_whitespace().nth(number).unwrap_or("unknown").to_owned()
}

async fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await;
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_called_by_its_name() {
        let release = "NAME=\"Moon\"\nPRETTY_NAME=\"Moon 12 (cheese)\"\n";
        assert_eq!(system(release), "Moon 12 (cheese)");
        assert_eq!(system(""), "unknown system");
    }
}
