//! Puts the built web pages into the binary.
//!
//! `web/dist` is what `make web` makes. When it is missing or older than its
//! sources and npm is there, it is made here, so that a plain `cargo build`
//! works. The files are copied to `OUT_DIR` and listed as a table of
//! `include_bytes!`, so a build does not break when `dist` is deleted later.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs, io};

/// What `dist` is made from.
const SOURCES: [&str; 6] =
    ["src", "pages", "parts", "build.mjs", "package.json", "package-lock.json"];

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", web.join(source).display());
    }

    let dist = web.join("dist");
    if !is_fresh(&web, &dist)? {
        build_pages(&web, &dist)?;
    }

    let copies = out.join("dist");
    if copies.exists() {
        fs::remove_dir_all(&copies)?;
    }
    let mut table = String::from("&[\n");
    for file in files_under(&dist)? {
        let name = file.strip_prefix(&dist)?.to_string_lossy().replace('\\', "/");
        if name.starts_with('.') {
            // A stamp of whoever built it.
            continue;
        }
        let copy = copies.join(&name);
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&file, &copy)?;
        writeln!(table, "    ({name:?}, include_bytes!({:?})),", copy.display().to_string())?;
    }
    table.push(']');
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

/// Whether `dist` is there and no source is newer.
fn is_fresh(web: &Path, dist: &Path) -> io::Result<bool> {
    let Ok(built) = fs::metadata(dist.join("watch.html")).and_then(|m| m.modified()) else {
        return Ok(false);
    };
    let mut newest = SystemTime::UNIX_EPOCH;
    for source in SOURCES {
        for file in files_under(&web.join(source))? {
            newest = newest.max(fs::metadata(file)?.modified()?);
        }
    }
    Ok(newest <= built)
}

fn build_pages(web: &Path, dist: &Path) -> Result<(), Box<dyn Error>> {
    let npm = |arguments: &[&str]| -> Result<bool, Box<dyn Error>> {
        match Command::new("npm").args(arguments).current_dir(web).status() {
            Ok(status) if status.success() => Ok(true),
            Ok(status) => {
                Err(format!("`npm {}` in web/ failed: {status}", arguments.join(" ")).into())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    let installed = is_installed(web) || npm(&["ci", "--no-audit", "--no-fund"])?;
    if installed && npm(&["run", "build"])? {
        return Ok(());
    }
    if dist.join("watch.html").exists() {
        println!("cargo:warning=web/dist is older than its sources and npm is not installed");
        return Ok(());
    }
    Err("web/dist is missing and npm is not installed: run `make web`".into())
}

/// Whether the packages are there and as the lock file says.
fn is_installed(web: &Path) -> bool {
    let changed = |name| fs::metadata(web.join(name)).and_then(|m| m.modified()).ok();
    changed("node_modules/.package-lock.json")
        .zip(changed("package-lock.json"))
        .is_some_and(|(packages, lock)| packages >= lock)
}

/// Every file at or below `path`, sorted.
fn files_under(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(if path.exists() { vec![path.to_owned()] } else { Vec::new() });
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        files.extend(files_under(&entry?.path())?);
    }
    files.sort();
    Ok(files)
}
