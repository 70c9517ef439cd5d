//! `target/<name>` of the clone, where one program (the demo, the benchmarks) keeps all it makes:
//! what lies where, and what still runs from there after a crash.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{self, ProcessId, running_from};
use crate::{repo, services};

/// The folder of one program.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// The program itself, which is not to be ended as something it left.
    owner: String,
}

impl Place {
    /// Of `millrace-<name>`. Creates the folder unless it is there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(name: &str) -> Result<Self> {
        let folder = repo::root().join("target").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self { folder, owner: format!("millrace-{name}") })
    }

    /// Of a file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The program that runs here, if one does.
    pub fn owner(&self) -> Option<ProcessId> {
        ProcessId::read(&self.path("pid"))
    }

    /// Notes that this very process runs here.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn own(&self) -> Result<()> {
        let path = self.path("pid");
        let written = ProcessId::own().context("no process")?.write(&path);
        written.with_context(|| format!("writing {}", path.display()))
    }

    /// Ends whatever was left running here. Our programs are told by the folder they were
    /// started from, which is this clone's alone; servers and others by their pid files.
    ///
    /// # Errors
    /// When the servers do not end.
    pub async fn sweep(&self) -> Result<()> {
        let patience = Duration::from_secs(10);
        // The operator first: it would start its workers again.
        for wanted in [true, false] {
            for process in running_from(&self.path("bin")) {
                let name = program(process);
                if name == self.owner || (name == "millrace-operator") != wanted {
                    continue;
                }
                process.end(patience).await;
            }
        }
        for file in self.pid_files() {
            if let Some(process) = ProcessId::read(&file) {
                process.end(patience).await;
            }
            let _ = fs::remove_file(file);
        }
        services::stop(&self.path("servers")).await?;
        for name in ["env", "pid"] {
            let _ = fs::remove_file(self.path(name));
        }
        Ok(())
    }

    /// `publisher.pid` and the like.
    fn pid_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "pid")).collect()
    }
}

fn program(process: ProcessId) -> String {
    let program = process::program(process.pid()).unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    // What the system appends when the file was replaced meanwhile.
    name.trim_end_matches(" (deleted)").to_owned()
}
