//! Where things lie: the clone, its scripts, the per-machine cache.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the clone this was compiled in.
pub fn root() -> &'static Path {
    // tests/harness, two levels below the root.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).unwrap_or(here)
}

/// The per-machine cache of this project: `$XDG_CACHE_HOME/millrace`, or `~/.cache/millrace`.
pub fn cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache"),
        PathBuf::from,
    );
    base.join("millrace")
}
