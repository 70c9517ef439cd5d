//! Publishers: ffmpeg, as a broadcaster would use it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;
use tokio::time::timeout;

use crate::counter;
use crate::process::Child;

/// Without it ffmpeg holds back the words that end a publish, and closes with them unsent where an
/// answer came that it did not read.
pub(crate) const TO_THE_END: [&str; 2] = ["-tcp_nodelay", "1"];

/// What is published, at the speed of real time.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, over and over, as it is.
    Loop(PathBuf),
    /// A test picture with a number burnt in ([`counter`]), and a tone; encoded while it is
    /// published, without end.
    Numbered {
        /// Pictures per second.
        fps: u32,
        /// The number in the first picture.
        first: u32,
    },
    /// The same from 0, without the pictures of a stretch; the tone goes on.
    Frozen {
        /// Pictures per second.
        fps: u32,
        /// Seconds without pictures, from and to.
        seconds: (u32, u32),
    },
}

/// A running publisher.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
}

impl Publisher {
    /// Starts ffmpeg towards `<rtmp_url>/<key>`; what it says goes to the file `log`.
    ///
    /// # Errors
    /// When ffmpeg cannot be started.
    pub fn start(source: &Source, rtmp_url: &str, key: &str, log: &Path) -> Result<Self> {
        let child = Child::spawn("the publisher", &mut command(source, rtmp_url, key)?, log)?;
        Ok(Self { child })
    }

    /// Fails with what ffmpeg said if it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.child.check()
    }

    /// Its process.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Ends the publish properly: ffmpeg closes the stream.
    pub async fn stop(mut self) {
        self.child.stop(Duration::from_secs(5)).await;
    }

    /// Ends it as a crash would: the connection just closes.
    pub fn kill(mut self) {
        self.child.kill_now();
    }
}

/// How an attempt ended that was expected to end by itself.
#[derive(Debug)]
pub struct Outcome {
    /// ffmpeg's.
    pub status: ExitStatus,
    /// What ffmpeg said.
    pub said: String,
}

/// Publishes until ffmpeg ends by itself.
///
/// # Errors
/// When ffmpeg cannot be started or goes on past `limit`.
pub async fn until_it_ends(
    source: &Source,
    rtmp_url: &str,
    key: &str,
    limit: Duration,
) -> Result<Outcome> {
    let child = command(source, rtmp_url, key)?.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(limit, child)
        .await
        .context("ffmpeg went on publishing")?
        .context("running ffmpeg")?;
    Ok(Outcome {
        status: output.status,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn command(source: &Source, rtmp_url: &str, key: &str) -> Result<Command> {
    let url = format!("{rtmp_url}/{key}");
    match source {
        Source::Loop(file) => {
            let mut command = Command::new("ffmpeg");
            command.args(["-nostdin", "-v", "warning", "-re", "-stream_loop", "-1", "-i"]);
            command.arg(file).args(["-c", "copy", "-f", "flv"]).args(TO_THE_END).arg(url);
            Ok(command)
        }
        Source::Numbered { fps, first } => counter::publisher(*fps, *first, &[], &url),
        Source::Frozen { fps, seconds: (from, to) } => {
            let select = format!("select='not(between(t,{from}.5,{to}.5))'");
            let drop = ["-vf", &select, "-fps_mode", "passthrough"];
            counter::publisher(*fps, 0, &drop, &url)
        }
    }
}
