//! The demo's settings, from the environment.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What the person asked for.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `DEMO_SECONDS`: end after playing so long.
    pub(crate) duration: Option<Duration>,
    /// `DEMO_PUBLISH`: 0 leaves publishing out.
    pub(crate) publish: bool,
    /// `DEMO_CLIP`: publish this file.
    pub(crate) clip: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Self> {
        let duration = match text("DEMO_SECONDS") {
            None => None,
            Some(value) => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.with_context(|| {
                    format!("DEMO_SECONDS={value}: expected a whole number of seconds above 0")
                })?;
                Some(Duration::from_secs(seconds))
            }
        };
        let publish = match text("DEMO_PUBLISH").as_deref() {
            None | Some("1") => true,
            Some("0") => false,
            Some(other) => anyhow::bail!("DEMO_PUBLISH={other}: expected 0 or 1"),
        };
        let clip = text("DEMO_CLIP").map(PathBuf::from);
        if let Some(file) = &clip {
            ensure!(file.is_file(), "DEMO_CLIP={}: no such file", file.display());
        }
        Ok(Self { duration, publish, clip })
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
