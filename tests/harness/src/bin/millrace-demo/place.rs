//! `target/demo` of the clone: what lies where, and what still runs from there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::process::{ProcessId, running_from};
use millrace_harness::{repo, services};

/// The demo's folder.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Creates the folder unless it is there.
    pub(crate) fn open() -> Result<Self> {
        let folder = repo::root().join("target/demo");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Self { folder })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The demo that runs here, if one does.
    pub(crate) fn owner(&self) -> Option<ProcessId> {
        ProcessId::read(&self.path("pid"))
    }

    /// Ends whatever a demo left running here. Our programs are told by the folder they were
    /// started from, which is this clone's alone; servers and publisher by their pid files.
    pub(crate) async fn sweep(&self) -> Result<()> {
        let patience = Duration::from_secs(10);
        // The operator first: it would start its workers again.
        for wanted in [true, false] {
            for process in running_from(&self.path("bin")) {
                let name = program(process);
                if name == "millrace-demo" || (name == "millrace-operator") != wanted {
                    continue;
                }
                process.end(patience).await;
            }
        }
        if let Some(publisher) = ProcessId::read(&self.path("publisher.pid")) {
            publisher.end(patience).await;
        }
        services::stop(&self.path("servers")).await?;
        for name in ["publisher.pid", "env", "pid"] {
            let _ = fs::remove_file(self.path(name));
        }
        Ok(())
    }
}

fn program(process: ProcessId) -> String {
    let exe = fs::read_link(format!("/proc/{}/exe", process.pid())).unwrap_or_default();
    let name = exe.file_name().unwrap_or_default().to_string_lossy();
    // What the system appends when the file was replaced meanwhile.
    name.trim_end_matches(" (deleted)").to_owned()
}
