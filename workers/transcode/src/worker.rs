//! The worker's loop: follow the log from the checkpoint; when something
//! breaks, begin again from there.

use std::pin::pin;
use std::sync::Arc;

use millrace_media::timeline::Event;
use millrace_platform::health::Check;
use millrace_platform::report::report;

use tokio::task::JoinSet;

mod tries;

use crate::config::Config;
use crate::duty::Duty;
use crate::publish::redis::live_backoff;
use crate::services::{PublishError, Services};
use crate::session::SessionError;
use crate::source::{Source, SourceError, Step};
use tries::{Cause, Tries};

/// Why following the log stopped.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The broadcast could not be worked on.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl WorkerError {
    /// Another writer has the stream.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Session(SessionError::Publish(PublishError::Fenced { .. })))
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Session(error) if error.may_be_the_source() => Cause::Source,
            Self::Session(SessionError::Encoder(error)) if error.is_from_outside() => Cause::Killed,
            Self::Source(_) | Self::Session(_) => Cause::Other,
        }
    }
}

/// The ffmpeg that is to be used can't be.
#[derive(Debug, thiserror::Error)]
#[error("ffmpeg at {path:?} (FFMPEG_PATH) {why}: install ffmpeg 5 or later with libx264")]
pub struct FfmpegError {
    path: std::path::PathBuf,
    why: String,
}

/// Asks ffmpeg whether it is there and can encode H.264, before any viewer
/// waits for it.
pub async fn check_ffmpeg(config: &Config) -> Result<(), FfmpegError> {
    if config.mock_ffmpeg {
        return Ok(());
    }
    let failed = |why: String| FfmpegError { path: config.ffmpeg.clone(), why };
    let asked = tokio::process::Command::new(&config.ffmpeg)
        .args(["-hide_banner", "-encoders"])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), asked)
        .await
        .map_err(|_| failed("does not answer".to_owned()))?
        .map_err(|error| failed(format!("does not start: {error}")))?;
    if String::from_utf8_lossy(&answer.stdout).contains("libx264") {
        return Ok(());
    }
    Err(failed("has no libx264".to_owned()))
}

/// Broadcasts that are over and still wait for the object store.
const LEFTOVERS: usize = 2;

/// Works until another writer takes the stream that is not to be stood by for:
/// to try again would be to fight it.
pub async fn run(services: Services, config: Arc<Config>, log: Check) -> WorkerError {
    let mut backoff = live_backoff();
    let mut tries = Tries::default();
    let mut reached = 0;
    let mut skip_to = None;
    let mut leftovers = JoinSet::new();
    let mut duty = Duty::new(services.clone(), config.clone());
    loop {
        let pictures = services.metrics.picture_parts();
        let Err(error) =
            follow(&services, &mut duty, &log, skip_to.take(), &mut reached, &mut leftovers).await;
        let goes_on = duty.give_up(match &error {
            WorkerError::Session(error) => Some(error),
            WorkerError::Source(_) => None,
        });
        if !goes_on {
            return error;
        }
        let got_on = services.metrics.picture_parts() > pictures;
        if got_on {
            backoff.reset();
        }
        if tries.is_hopeless(got_on, error.cause()) {
            skip_to = Some(reached);
            tracing::error!(offset = reached, "no encoder gets past this place: it is left out");
            services.metrics.skipped();
        }
        let wait = backoff.next_delay();
        if error.is_fenced() {
            tracing::warn!(error = report(&error), ?wait, "standing by from the checkpoint");
        } else {
            let error = report(&error);
            log.failing(error.clone());
            tracing::error!(error, ?wait, "starting again from the checkpoint");
            services.metrics.restarted();
        }
        tokio::time::sleep(wait).await;
    }
}

/// `reached` is kept at the offset after the last record that was taken.
async fn follow(
    services: &Services,
    duty: &mut Duty,
    log: &Check,
    skip_to: Option<i64>,
    reached: &mut i64,
    leftovers: &mut JoinSet<()>,
) -> Result<std::convert::Infallible, WorkerError> {
    let mut source = Source::open(services, services.config.segment, skip_to).await?;
    log.ok();
    loop {
        let step = next(&mut source, duty).await?;
        // An end is never left out: a skip goes on at it.
        if !step.events.iter().any(|event| matches!(event, Event::Ended(_))) {
            *reached = step.next_offset;
        }
        for event in step.events {
            match event {
                Event::Started(facts) => duty.begin(facts).await?,
                Event::Ended(_) => {
                    if let Some(left) = duty.end(step.next_offset, source.snapshot()).await? {
                        // Bounded: what waits for a store that is away holds media.
                        while leftovers.try_join_next().is_some() {}
                        while leftovers.len() >= LEFTOVERS {
                            leftovers.join_next().await;
                        }
                        leftovers.spawn(left);
                    }
                }
                event => duty.take(event).await?,
            }
        }
    }
}

/// The log's next step. Who stands by watches the writer while it waits, and
/// takes over also when nothing more comes.
async fn next(source: &mut Source, duty: &mut Duty) -> Result<Step, WorkerError> {
    // Never dropped before it is done: a record would be lost.
    let mut step = pin!(source.next());
    loop {
        tokio::select! {
            step = &mut step => return Ok(step?),
            () = duty.look() => duty.judge().await?,
        }
    }
}
