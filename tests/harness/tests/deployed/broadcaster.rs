//! A broadcaster outside the cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use millrace_harness::publisher::{Publisher, Source};
use millrace_harness::repo;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often it looks whether its connection is still there.
const LOOK: Duration = Duration::from_millis(200);
/// What it waits before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// One who connects again when the connection is lost, as OBS does.
#[derive(Debug)]
pub(crate) struct Broadcaster {
    stop: CancellationToken,
    again: Arc<Notify>,
    task: JoinHandle<Result<u32>>,
}

impl Broadcaster {
    /// Publishes until told to stop; what its ffmpeg says goes to a file of this name.
    pub(crate) fn start(source: Source, rtmp: &str, key: &str, name: &str) -> Result<Self> {
        let log = log_file(name)?;
        let (stop, again) = (CancellationToken::new(), Arc::<Notify>::default());
        let (rtmp, key, told) = (rtmp.to_owned(), key.to_owned(), stop.clone());
        let leave = Arc::clone(&again);
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = 0;
            loop {
                let mut publisher = Publisher::start(&source, &rtmp, &key, &log)?;
                connections += 1;
                let lost = loop {
                    if let Err(lost) = publisher.check() {
                        break lost;
                    }
                    tokio::select! {
                        () = told.cancelled() => {
                            publisher.stop().await;
                            return Ok(connections);
                        }
                        () = leave.notified() => {
                            publisher.kill();
                            break anyhow!("left without a word");
                        }
                        () = sleep(LOOK) => {}
                    }
                };
                let lost = format!("{lost:#}").replace(&key, "<key>");
                println!("{name}: connection {connections}: {lost}");
                if told.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                    return Ok(connections);
                }
            }
        });
        Ok(Self { stop, again, task })
    }

    /// Drops its connection, which leads nowhere any more, and makes another: what OBS does when
    /// nothing has been taken for some seconds, and ffmpeg's RTMP has no time-out for.
    pub(crate) fn reconnect(&self) {
        self.again.notify_one();
    }

    /// Ends the publish in order; says how often it connected.
    pub(crate) async fn stop(self) -> Result<u32> {
        self.stop.cancel();
        self.task.await.context("the broadcaster")?
    }
}

fn log_file(name: &str) -> Result<PathBuf> {
    let logs = repo::root().join("target/test/deployed");
    std::fs::create_dir_all(&logs)?;
    Ok(logs.join(format!("{name}.log")))
}
