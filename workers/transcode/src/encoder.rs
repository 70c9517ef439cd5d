//! One encoder: pictures of the source in, pictures of each rung out.
//!
//! An [`Encoder`] is one run's ffmpeg. The session feeds it; a task per rung
//! reads what it makes. It is over when its input is closed and all outputs
//! have ended, or when it fails.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use millrace_media::flv::{FileReader, FileWriter, FlvError, Tag};
use millrace_media::record::Track;
use millrace_media::time::Ticks;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

pub mod command;

use command::RunArgs;

/// Pictures on their way into ffmpeg. Its own pipe holds 64 KiB more.
const FEED_DEPTH: usize = 32;
/// Read of a rung's pipe at once: all that a pipe holds.
const PIPE: usize = 64 << 10;
/// Longest body believed of ffmpeg's output: 8 MiB.
const MAX_PICTURE: usize = 8 << 20;
/// How long ffmpeg may take to finish once its input is closed.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// 20 days: of those left a keyframe comes.
const WORN_MS: i64 = 20 * 24 * 60 * 60 * 1_000;
/// ffmpeg's codes after a signal to end, and after a fourth one.
const CODES_WHEN_TOLD_TO_END: [i32; 2] = [255, 123];
/// The stamp of a run's first fed picture, so that none is below zero.
const FIRST_STAMP_MS: i64 = 1_000;

/// What went wrong with ffmpeg.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// It could not be started.
    #[error("cannot start ffmpeg at {path:?} (FFMPEG_PATH): {source}")]
    Start {
        /// What was tried.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A pipe could not be made or read.
    #[error("ffmpeg's pipe: {0}")]
    Pipe(#[from] std::io::Error),
    /// Its output is not FLV.
    #[error("ffmpeg's output: {0}")]
    Output(#[from] FlvError),
    /// It stopped while it was being fed.
    #[error("ffmpeg ended with {}: {last_words}", end.map_or_else(|| "a closed input".to_owned(), |end| end.to_string()))]
    Exited {
        /// Its exit status; `None` while it only closed its input.
        end: Option<ExitStatus>,
        /// The end of what it said.
        last_words: String,
    },
    /// It did not finish after its input was closed.
    #[error("ffmpeg did not finish within {} s of its input's end", DRAIN_LIMIT.as_secs())]
    Stuck,
}

impl EncoderError {
    /// Somebody ended it: the kernel that is out of memory, a node that shuts
    /// down, a person. What it was fed is not to blame. One that dies of its own
    /// fault (SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGBUS) was not ended by others.
    pub fn is_from_outside(&self) -> bool {
        let Self::Exited { end: Some(end), .. } = self else { return false };
        let asked = end.signal().and_then(|number| Signal::try_from(number).ok());
        // ffmpeg takes the polite ones itself, and says so by its code.
        end.code().is_some_and(|code| CODES_WHEN_TOLD_TO_END.contains(&code))
            || asked.is_some_and(|signal| {
                use Signal::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};
                matches!(signal, SIGKILL | SIGTERM | SIGINT | SIGHUP | SIGQUIT)
            })
    }
}

/// Times of the timeline as stamps of the FLV that one run is fed, and back.
#[derive(Debug, Clone, Copy)]
pub struct Stamps {
    origin: Ticks,
}

impl Stamps {
    /// For a run whose first picture is decoded at `origin`.
    pub fn new(origin: Ticks) -> Self {
        Self { origin }
    }

    /// The stamp of a moment, in ms.
    pub fn fed_ms(&self, at: Ticks) -> i64 {
        (at - self.origin).as_ms().saturating_add(FIRST_STAMP_MS)
    }

    /// Whether a run that has come to `at` is to end: ffmpeg takes the stamps of
    /// FLV for signed 32-bit numbers, which end after 24.8 days.
    pub fn are_worn(&self, at: Ticks) -> bool {
        self.fed_ms(at) >= WORN_MS
    }

    /// The moment of a stamp.
    pub fn moment(&self, stamp_ms: i64) -> Ticks {
        self.origin + Ticks::from_ms(stamp_ms.saturating_sub(FIRST_STAMP_MS))
    }
}

/// A running ffmpeg.
#[derive(Debug)]
pub struct Encoder {
    child: Child,
    feed: Option<mpsc::Sender<(u32, Bytes)>>,
    feeder: tokio::task::JoinHandle<std::io::Result<()>>,
    words: tokio::task::JoinHandle<String>,
}

/// One rung's output.
#[derive(Debug)]
pub struct RungOutput {
    pipe: pipe::Receiver,
    buffer: Box<[u8]>,
    reader: FileReader,
}

/// Closes what `/proc` tells of this process, its environment above all, to ffmpeg, which has the same
/// user and parses strangers' bytes.
pub fn hide_from_ffmpeg() -> std::io::Result<()> {
    Ok(nix::sys::prctl::set_dumpable(false)?)
}

/// A pipe whose write end a child inherits under the same number.
fn inherited_pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&write, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok((read, write))
}

impl Encoder {
    /// Starts ffmpeg for a run; `config` is the source's FLV configuration
    /// tag. `args` is given the descriptors of the rungs' pipes in order.
    pub fn start(
        ffmpeg: &Path,
        rungs: usize,
        config: Bytes,
        args: impl FnOnce(&[i32]) -> RunArgs,
    ) -> Result<(Self, Vec<RungOutput>), EncoderError> {
        let pipes = (0..rungs).map(|_| inherited_pipe()).collect::<Result<Vec<_>, _>>()?;
        let fds: Vec<_> = pipes.iter().map(|(_, write)| write.as_raw_fd()).collect();
        let arguments = command::arguments(&args(&fds));
        tracing::debug!(ffmpeg = %ffmpeg.display(), arguments = arguments.join(" "), "starting");
        let mut child = Command::new(ffmpeg)
            .args(&arguments)
            // It parses strangers' bytes: nothing of ours is in its reach.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| EncoderError::Start { path: ffmpeg.display().to_string(), source })?;
        let outputs = pipes
            .into_iter()
            .map(|(read, _write_end_closes_here)| {
                let pipe = pipe::Receiver::from_owned_fd(read)?;
                let buffer = vec![0; PIPE].into_boxed_slice();
                Ok(RungOutput { pipe, buffer, reader: FileReader::new(MAX_PICTURE) })
            })
            .collect::<Result<Vec<_>, std::io::Error>>()?;
        let gone = || std::io::Error::other("ffmpeg's standard streams are missing");
        let stdin = child.stdin.take().ok_or_else(gone)?;
        let stderr = child.stderr.take().ok_or_else(gone)?;
        let (feed, pictures) = mpsc::channel(FEED_DEPTH);
        let feeder = tokio::spawn(write_pictures(stdin, config, pictures));
        let words = tokio::spawn(listen(BufReader::new(stderr)));
        Ok((Self { child, feed: Some(feed), feeder, words }, outputs))
    }

    /// Feeds one picture (an FLV tag body) at its stamp; waits while ffmpeg is
    /// busy. Fails when it is gone; [`Encoder::finish`] says why.
    pub async fn feed(&mut self, stamp_ms: i64, body: Bytes) -> Result<(), EncoderError> {
        let stamp = u32::try_from(stamp_ms.max(0)).unwrap_or(u32::MAX);
        let Some(feed) = &self.feed else { return Ok(()) };
        if feed.send((stamp, body)).await.is_ok() {
            return Ok(());
        }
        let end = tokio::time::timeout(Duration::from_secs(1), self.child.wait()).await;
        let end = end.ok().transpose()?;
        Err(EncoderError::Exited { end, last_words: self.last_words().await })
    }

    /// Closes the input and waits until ffmpeg has ended. Its outputs must be
    /// read meanwhile.
    pub async fn finish(mut self) -> Result<(), EncoderError> {
        self.feed = None;
        let ended = tokio::time::timeout(DRAIN_LIMIT, self.child.wait()).await;
        let status = ended.map_err(|_| EncoderError::Stuck)??;
        self.feeder.abort();
        if status.success() {
            return Ok(());
        }
        let last_words = self.last_words().await;
        Err(EncoderError::Exited { end: Some(status), last_words })
    }

    async fn last_words(&mut self) -> String {
        match tokio::time::timeout(Duration::from_secs(1), &mut self.words).await {
            Ok(Ok(words)) => words,
            _ => String::new(),
        }
    }
}

impl RungOutput {
    /// The next tag; `None` when ffmpeg has closed this output.
    pub async fn next(&mut self) -> Result<Option<Tag>, EncoderError> {
        loop {
            if let Some(tag) = self.reader.pop()? {
                return Ok(Some(tag));
            }
            let read = self.pipe.read(&mut self.buffer).await?;
            match self.buffer.get(..read) {
                None | Some([]) => return Ok(None),
                Some(bytes) => self.reader.push(bytes),
            }
        }
    }
}

async fn write_pictures(
    mut stdin: ChildStdin,
    config: Bytes,
    mut fed: mpsc::Receiver<(u32, Bytes)>,
) -> std::io::Result<()> {
    let mut file = FileWriter::new(true, false);
    let mut first = Some(config);
    while let Some((stamp, body)) = fed.recv().await {
        if let Some(config) = first.take() {
            file.write(Track::Video, stamp, &config).map_err(std::io::Error::other)?;
        }
        file.write(Track::Video, stamp, &body).map_err(std::io::Error::other)?;
        stdin.write_all(&file.take()).await?;
    }
    stdin.shutdown().await
}

/// Passes ffmpeg's warnings on, at most 20, and keeps the end for an error.
async fn listen(mut lines: BufReader<tokio::process::ChildStderr>) -> String {
    const SHOWN: usize = 20;
    const KEPT: usize = 5;
    let mut last = std::collections::VecDeque::new();
    let mut count = 0_usize;
    let mut line = Vec::new();
    loop {
        line.clear();
        let limited = (&mut lines).take(4_096).read_until(b'\n', &mut line).await;
        if !matches!(limited, Ok(read) if read > 0) {
            break;
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        count += 1;
        if count <= SHOWN {
            tracing::warn!(ffmpeg = text, "ffmpeg says");
        }
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(text);
    }
    last.make_contiguous().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_stamps_are_worn_days_before_ffmpeg_would_wrap_them() {
        let days = |days: i64| Ticks::from_ms(days * 24 * 60 * 60 * 1_000);
        let stamps = Stamps::new(days(400));
        assert!(!stamps.are_worn(days(400)) && !stamps.are_worn(days(419)));
        assert!(stamps.are_worn(days(420)));
        assert!(stamps.fed_ms(days(424)) < i64::from(i32::MAX));
        assert!(stamps.fed_ms(days(425)) > i64::from(i32::MAX));
        assert!(!Stamps::new(days(420)).are_worn(days(420)));
    }
}
