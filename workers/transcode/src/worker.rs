//! The worker's loop: follow the log from the checkpoint; when something
//! breaks, begin again from there.

use std::sync::Arc;

use millrace_media::timeline::Event;
use millrace_platform::health::Check;
use millrace_platform::report::report;

use tokio::task::JoinSet;

use crate::config::Config;
use crate::publish::redis::live_backoff;
use crate::services::{PublishError, Services};
use crate::session::{Session, SessionError};
use crate::source::{Source, SourceError};

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
    /// Another writer has the stream: to try again would be to fight it.
    fn is_fenced(&self) -> bool {
        matches!(self, Self::Session(SessionError::Publish(PublishError::Fenced { .. })))
    }

    fn may_be_the_source(&self) -> bool {
        matches!(self, Self::Session(error) if error.may_be_the_source())
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

/// Tries at one place of the log, without a part coming out, before the place
/// is left out.
const TRIES: u32 = 6;

/// Broadcasts that are over and still wait for the object store.
const LEFTOVERS: usize = 2;

/// Works until another writer takes the stream.
pub async fn run(services: Services, config: Arc<Config>, log: Check) -> WorkerError {
    let mut backoff = live_backoff();
    let mut failures = 0;
    let mut reached = 0;
    let mut skip_to = None;
    let mut leftovers = JoinSet::new();
    loop {
        let parts = services.metrics.parts();
        let Err(error) =
            follow(&services, &config, &log, skip_to.take(), &mut reached, &mut leftovers).await;
        if error.is_fenced() {
            return error;
        }
        if services.metrics.parts() > parts {
            failures = 0;
            backoff.reset();
        }
        failures += u32::from(error.may_be_the_source());
        if failures == TRIES {
            failures = 0;
            skip_to = Some(reached);
            tracing::error!(offset = reached, "no encoder gets past this place: it is left out");
            services.metrics.skipped();
        }
        let error = report(&error);
        log.failing(error.clone());
        let wait = backoff.next_delay();
        tracing::error!(error, ?wait, "starting again from the checkpoint");
        services.metrics.restarted();
        tokio::time::sleep(wait).await;
    }
}

/// `reached` is kept at the offset after the last record that was taken.
async fn follow(
    services: &Services,
    config: &Arc<Config>,
    log: &Check,
    skip_to: Option<i64>,
    reached: &mut i64,
    leftovers: &mut JoinSet<()>,
) -> Result<std::convert::Infallible, WorkerError> {
    let mut source = Source::open(services, config.segment, skip_to).await?;
    log.ok();
    let mut session: Option<Session> = None;
    loop {
        let step = source.next().await?;
        // An end is never left out: a skip goes on at it.
        if !step.events.iter().any(|event| matches!(event, Event::Ended(_))) {
            *reached = step.next_offset;
        }
        for event in step.events {
            match (event, &mut session) {
                (Event::Started(facts), _) => {
                    services.on_air.send_replace(Some(facts.broadcast));
                    let begun = Session::start(services.clone(), config.clone(), facts).await?;
                    session = Some(begun);
                }
                (Event::Ended(_), ended) => {
                    services.on_air.send_replace(None);
                    if let Some(ended) = ended.take() {
                        let left = ended.end(step.next_offset, source.snapshot()).await?;
                        // Bounded: what waits for a store that is away holds media.
                        while leftovers.try_join_next().is_some() {}
                        while leftovers.len() >= LEFTOVERS {
                            leftovers.join_next().await;
                        }
                        leftovers.spawn(left);
                    }
                }
                (event, Some(session)) => session.take(event).await?,
                (_, None) => {}
            }
        }
    }
}
