//! ffprobe and ffmpeg as judges of media: they decode it, we read what they found.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;

/// What ffprobe says of a file or URL.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Elementary streams.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// Packets, in file order.
    #[serde(default)]
    pub packets: Vec<Packet>,
}

/// One elementary stream.
#[derive(Debug, Clone, Deserialize)]
pub struct Stream {
    /// `video` or `audio`.
    pub codec_type: String,
    /// For example `h264`.
    pub codec_name: String,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames that decoded, as text.
    pub nb_read_frames: Option<String>,
}

/// One packet.
#[derive(Debug, Clone, Deserialize)]
pub struct Packet {
    /// `video` or `audio`.
    pub codec_type: String,
    /// Seconds, as text.
    pub pts_time: Option<String>,
    /// Seconds, as text.
    pub dts_time: Option<String>,
    /// Seconds, as text.
    pub duration_time: Option<String>,
    /// Bytes, as text.
    pub size: Option<String>,
    /// Begins with `K` on a keyframe.
    #[serde(default)]
    pub flags: String,
}

/// How thoroughly ffprobe looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Containers only.
    Packets,
    /// Every frame is decoded and counted.
    Frames,
}

/// Streams and packets of a file.
///
/// # Errors
/// When ffprobe is missing, fails, or reports any error.
pub async fn file(path: &Path, depth: Depth) -> Result<Report> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_streams", "-show_packets"]);
    if depth == Depth::Frames {
        command.arg("-count_frames");
    }
    let output =
        command.arg(path).stdin(Stdio::null()).output().await.context("running ffprobe")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.trim().is_empty() {
        bail!("ffprobe of {}: {}", path.display(), said.trim());
    }
    serde_json::from_slice(&output.stdout).context("ffprobe's JSON")
}

/// As [`file()`], of bytes: an init segment and what follows it.
///
/// # Errors
/// As [`file()`], and when a temporary file cannot be written.
pub async fn bytes(pieces: &[&[u8]], depth: Depth) -> Result<Report> {
    let temporary = tempfile::NamedTempFile::with_suffix(".mp4")?;
    tokio::fs::write(temporary.path(), pieces.concat()).await?;
    file(temporary.path(), depth).await
}

impl Report {
    /// Frames of the first stream of `kind` that decoded.
    pub fn frames(&self, kind: &str) -> u64 {
        self.stream(kind)
            .and_then(|stream| stream.nb_read_frames.as_deref()?.parse().ok())
            .unwrap_or(0)
    }

    /// The first stream of `kind`.
    pub fn stream(&self, kind: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.codec_type == kind)
    }
}
