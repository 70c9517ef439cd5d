//! What is published: a real clip, encoded once per bitrate and kept in the cache.
//!
//! 1280x720, 30 pictures a second, no B-frames, a closed GOP every 2 s, AAC at 48 kHz. It is never
//! looped, so that its pictures can be told from each other.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use millrace_harness::process::run;
use millrace_harness::recorder::sha;
use millrace_harness::rtmp::client::Announced;
use millrace_harness::rtmp::flv::{self, Kind, Tag};
use millrace_harness::rtmp::publisher::{Film, Sent};
use millrace_harness::screen::Screen;
use millrace_harness::{clip, repo};
use tokio::time::Instant;

/// Pictures per second.
pub(crate) const FPS: u16 = 30;
/// Seconds.
pub(crate) const LENGTH: u32 = 64;
const AUDIO_KBPS: u32 = 96;
/// Change it when the recipe changes.
const RECIPE: u32 = 1;

/// A file to publish.
#[derive(Debug)]
pub(crate) struct Material {
    /// Video and audio together, as asked of the encoders.
    pub(crate) kbps: u32,
    tags: Arc<[Tag]>,
}

impl Material {
    /// Reads the file of `kbps`, making it first if need be.
    pub(crate) async fn get(kbps: u32, screen: &Screen) -> Result<Self> {
        let folder = repo::cache().join("clips");
        let file = folder.join(format!("bench-{RECIPE}-{kbps}.flv"));
        if file.exists() {
            return Self::read(kbps, &file);
        }
        let source = clip::looping(|what| screen.say(what)).await.context("the real clip")?;
        let work = tempfile::tempdir_in(&folder)?;
        let encoded = work.path().join("encoded.flv");
        let encoding = encode(&source, kbps, &encoded);
        screen.step(&format!("Encoding {LENGTH} s at {kbps} kb/s, once"), encoding).await?;
        let material = Self::read(kbps, &encoded)?;
        fs::rename(&encoded, &file)?;
        Ok(material)
    }

    fn read(kbps: u32, file: &Path) -> Result<Self> {
        let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let tags = flv::tags(Bytes::from(bytes)).with_context(|| file.display().to_string())?;
        let pictures = tags.iter().filter(|tag| tag.kind == Kind::Picture).count();
        let expected = usize::try_from(u32::from(FPS) * LENGTH)?;
        ensure!(
            pictures == expected,
            "{}: {pictures} pictures instead of {expected}; delete it",
            file.display()
        );
        Ok(Self { kbps, tags: tags.into() })
    }

    /// To be published from its beginning.
    pub(crate) fn film(&self) -> Film {
        Film::whole(&self.tags, Announced { width: 1_280, height: 720, fps: FPS })
    }

    /// When each picture was written, in order.
    pub(crate) fn written(&self, sent: &[Sent]) -> Vec<Instant> {
        let is_picture =
            |sent: &&Sent| self.tags.get(sent.tag).is_some_and(|tag| tag.kind == Kind::Picture);
        sent.iter().filter(is_picture).map(|sent| sent.at).collect()
    }

    /// Number of each picture by the hash of its access unit; those that are alike are left out.
    pub(crate) fn pictures(&self) -> HashMap<u64, usize> {
        let mut numbers = HashMap::new();
        let mut alike = Vec::new();
        let pictures = self.tags.iter().filter(|tag| tag.kind == Kind::Picture);
        for (number, tag) in pictures.enumerate() {
            let hash = sha(tag.access_unit());
            if numbers.insert(hash, number).is_some() {
                alike.push(hash);
            }
        }
        numbers.retain(|hash, _| !alike.contains(hash));
        numbers
    }
}

async fn encode(source: &Path, kbps: u32, target: &Path) -> Result<()> {
    let source = source.display().to_string();
    let target = target.display().to_string();
    let video = format!("{}k", kbps - AUDIO_KBPS);
    let audio = format!("{AUDIO_KBPS}k");
    let fps = u32::from(FPS);
    let (pictures, rate) = ((fps * LENGTH).to_string(), format!("fps={FPS},format=yuv420p"));
    let (gop, length) = ((fps * 2).to_string(), LENGTH.to_string());
    let mut arguments = vec!["-nostdin", "-v", "error", "-stream_loop", "-1", "-i", &source];
    arguments.extend(["-map", "0:v:0", "-map", "0:a:0", "-vf", &rate]);
    arguments.extend(["-frames:v", &pictures, "-t", &length]);
    arguments.extend(["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-flags", "+cgop"]);
    arguments.extend(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"]);
    arguments.extend(["-b:v", &video, "-maxrate", &video, "-bufsize", &video]);
    arguments.extend(["-c:a", "aac", "-ar", "48000", "-ac", "2", "-b:a", &audio]);
    arguments.extend(["-flvflags", "no_duration_filesize", "-f", "flv", &target]);
    run("ffmpeg", &arguments).await
}
