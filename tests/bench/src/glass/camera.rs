//! A camera and an encoder: pictures with their number burnt in, taken at the rate of real time
//! and published by ffmpeg with x264's `zerolatency`; and when each was taken.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use millrace_harness::counter;
use millrace_harness::rtmp::client::Target;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::now;

/// Pictures per second.
pub(crate) const FPS: u32 = 30;
const WIDTH: usize = 1_280;
const HEIGHT: usize = 720;
/// Lines that the landscape has beyond those that are seen at a time.
const BEYOND: usize = 512;
const GRAY: u8 = 128;
/// Samples a second, and of one picture's time.
const SAMPLE_RATE: u32 = 48_000;
const SAMPLES: u32 = SAMPLE_RATE / FPS;
/// Pictures that the sound is ahead: no picture waits for it in the encoder.
const AHEAD: usize = 3;

/// One that publishes. Dropping it cuts the connection.
pub(crate) struct Camera {
    encoder: Child,
    work: JoinHandle<Result<()>>,
    taken: Taken,
}

/// When each picture was taken so far, µs since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<Vec<i64>>>);

impl Taken {
    pub(crate) fn all(&self) -> Vec<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, at: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(at);
    }
}

impl Camera {
    /// Begins. What ffmpeg says, and its pipe for sound, are in `folder`.
    pub(crate) fn start(target: &Target, folder: &Path) -> Result<Self> {
        let (log, microphone) = (folder.join("camera.log"), folder.join("microphone"));
        let _ = std::fs::remove_file(&microphone);
        mkfifo(&microphone, Mode::S_IRUSR | Mode::S_IWUSR).context("making a pipe")?;
        let log = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut encoder = Command::new("ffmpeg")
            .args(["-v", "warning", "-probesize", "32", "-analyzeduration", "0"])
            .args(["-f", "rawvideo", "-pixel_format", "yuv420p"])
            .args(["-video_size", &format!("{WIDTH}x{HEIGHT}")])
            .args(["-framerate", &FPS.to_string(), "-i", "pipe:0"])
            .args(["-probesize", "32", "-analyzeduration", "0", "-thread_queue_size", "64"])
            .args(["-f", "s16le", "-ar", &SAMPLE_RATE.to_string(), "-ac", "1", "-i"])
            .arg(&microphone)
            .args(["-map", "0:v", "-map", "1:a", "-fps_mode", "passthrough"])
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"])
            // A keyframe each second, so that a peer that encodes nothing can cut there.
            .args(["-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "2500k"])
            .args(["-g", &FPS.to_string(), "-sc_threshold", "0", "-threads", "1"])
            .args(["-c:a", "aac", "-ac", "2", "-b:a", "96k", "-flush_packets", "1"])
            .args(["-f", "flv", "-tcp_nodelay", "1", &format!("{}/{}", target.url, target.name)])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting ffmpeg")?;
        let stdin = encoder.stdin.take().context("ffmpeg's stdin")?;
        let taken = Taken::default();
        let work = tokio::spawn(film(stdin, microphone, taken.clone()));
        Ok(Self { encoder, work, taken })
    }

    pub(crate) fn taken(&self) -> &Taken {
        &self.taken
    }

    /// Does `work`; fails if the camera fails before that is done.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            failed = &mut self.work => {
                failed??;
                anyhow::bail!("the camera stopped by itself")
            }
        }
    }

    /// Ends the publish properly.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.work.abort();
        let id = self.encoder.id().context("ffmpeg ended by itself")?;
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        let ended = timeout(Duration::from_secs(10), self.encoder.wait()).await;
        ended.context("ffmpeg went on publishing")??;
        Ok(())
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Takes pictures without end, and sound to each.
async fn film(mut encoder: ChildStdin, microphone: PathBuf, taken: Taken) -> Result<()> {
    let (landscape, sound) = (landscape(), sound());
    let mut picture = vec![GRAY; WIDTH * HEIGHT * 3 / 2];
    let mut speaker = None;
    let mut begin = Instant::now();
    for number in 0_u32.. {
        sleep_until(begin + Duration::from_secs(1) * number / FPS).await;
        if number == 1 {
            // ffmpeg opens its second input when it has seen the first; from then on all goes by
            // the clock.
            let mut opened = open(&microphone).await?;
            opened.write_all(&sound.repeat(AHEAD)).await?;
            speaker = Some(opened);
            begin = Instant::now();
        }
        if let Some(speaker) = &mut speaker {
            speaker.write_all(&sound).await.context("ffmpeg takes no more sound")?;
        }
        let (luma, _) = picture.split_at_mut(WIDTH * HEIGHT);
        // Up and down again, two lines a picture.
        let step = usize::try_from(number)? % BEYOND;
        let line = if step < BEYOND / 2 { step * 2 } else { (BEYOND - step) * 2 };
        let seen = landscape.get(line * WIDTH..).unwrap_or_default();
        luma.copy_from_slice(seen.get(..WIDTH * HEIGHT).context("beyond the landscape")?);
        counter::draw(luma, WIDTH, number);
        taken.note(now());
        encoder.write_all(&picture).await.context("ffmpeg takes no more pictures")?;
    }
    Ok(())
}

/// The pipe for sound, once ffmpeg reads from it.
async fn open(microphone: &Path) -> Result<pipe::Sender> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match pipe::OpenOptions::new().open_sender(microphone) {
            Ok(opened) => return Ok(opened),
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(5)).await,
            Err(error) => return Err(error).context("ffmpeg does not open its pipe for sound"),
        }
    }
}

/// A tone of 480 Hz for one picture: a whole number of waves.
fn sound() -> Vec<u8> {
    let wave = |sample: u32| {
        let place = i16::try_from(sample % 100).unwrap_or_default();
        let height = if place < 50 { place } else { 100 - place };
        (height * 300 - 7_500).to_le_bytes()
    };
    (0..SAMPLES).flat_map(wave).collect()
}

/// Something to see: shades with a grain, the same in each run.
fn landscape() -> Vec<u8> {
    let mut noise = 1_u32;
    let mut all = Vec::with_capacity(WIDTH * (HEIGHT + BEYOND));
    for y in 0..HEIGHT + BEYOND {
        for x in 0..WIDTH {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shade = (x / 10 + y / 6) % 160 + 40;
            let grain = usize::try_from(noise >> 28).unwrap_or_default();
            all.push(u8::try_from(shade + grain).unwrap_or(u8::MAX));
        }
    }
    all
}
