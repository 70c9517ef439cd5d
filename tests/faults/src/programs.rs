//! The programs that run, and those of another version.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use millrace_harness::place::Place;
use millrace_harness::stack::Worker;

/// Where Debian has it, by architecture.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// Whose program a worker is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Version {
    This,
    Other,
}

/// Where they are. A worker that dies is started from `bin`, whatever is there then.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    bin: PathBuf,
    this: PathBuf,
    other: Option<PathBuf>,
}

impl Programs {
    /// Those of this version, and of the other in `other`.
    ///
    /// # Errors
    /// When one is missing.
    pub(crate) fn new(place: &Place, other: Option<&Path>) -> Result<Self> {
        let (bin, this) = (place.path("bin"), place.path("this"));
        let programs = Self { bin, this, other: other.map(Path::to_owned) };
        let _ = fs::remove_dir_all(&programs.this);
        let what = || format!("keeping the programs in {}", programs.this.display());
        fs::create_dir_all(&programs.this).with_context(what)?;
        for name in [Worker::Ingest, Worker::Transcode, Worker::Delivery].map(program) {
            // Another name of the same file: those in `bin` are replaced, never written to.
            fs::hard_link(programs.bin.join(name), programs.this.join(name)).with_context(what)?;
            if let Some(path) = other.map(|other| other.join(name)) {
                ensure!(path.is_file(), "no {}: tests/previous.sh makes it", path.display());
            }
        }
        Ok(programs)
    }

    /// From its next start on the worker lives by a clock that [`Programs::turn_clocks`] turns.
    ///
    /// # Errors
    /// When its program can't be replaced, or there is no libfaketime.
    pub(crate) fn put_clock(&self, worker: Worker) -> Result<()> {
        let library = LIBRARIES.iter().map(Path::new).find(|path| path.is_file());
        let library = library.context("no libfaketime: `make install` installs it")?;
        let name = program(worker);
        self.turn_clocks("+0")?;
        let script = format!(
            "#!/bin/sh\nexport LD_PRELOAD={} DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1 \
             FAKETIME_TIMESTAMP_FILE={}\nexec {} \"$@\"\n",
            library.display(),
            self.clock().display(),
            self.this.join(name).display(),
        );
        let (path, new) = (self.bin.join(name), self.bin.join("clock.new"));
        fs::write(&new, script)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
        fs::rename(&new, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// Within a second clocks are off by this, in libfaketime's words.
    ///
    /// # Errors
    /// When the file that says so can't be written.
    pub(crate) fn turn_clocks(&self, by: &str) -> Result<()> {
        let path = self.clock();
        fs::write(&path, format!("{by}\n")).with_context(|| format!("writing {}", path.display()))
    }

    fn clock(&self) -> PathBuf {
        self.this.join("clock")
    }

    /// From its next start on the worker is of this version.
    ///
    /// # Errors
    /// When it can't be copied, or there is no other version.
    pub(crate) fn put(&self, worker: Worker, version: Version) -> Result<()> {
        let from = match version {
            Version::This => &self.this,
            Version::Other => self.other.as_ref().context("no programs of another version")?,
        };
        copy(&from.join(program(worker)), &self.bin.join(program(worker)))
    }
}

fn program(worker: Worker) -> &'static str {
    match worker {
        Worker::Ingest => "millrace-ingest",
        Worker::Transcode => "millrace-transcode",
        Worker::Delivery => "millrace-delivery",
    }
}

/// Under another name first: what runs can't be written to.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("copying {} to {}", from.display(), to.display());
    let new = to.with_extension("new");
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(what)?;
    }
    fs::copy(from, &new).with_context(what)?;
    fs::rename(&new, to).with_context(what)
}
