//! Reading one rendition's playlist for as long as it lives, and fetching all
//! it lists.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Mode;
use super::judge::Judge;
use super::report::RenditionReport;
use crate::http::Http;
use crate::playlist::resolve;

/// Pause after a failed request.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a listed file may fail to be served before that is a breach.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most time for fetching files once more at the end.
const SECOND_LOOK: Duration = Duration::from_secs(10);
/// One of how many listed segments is fetched once more.
const STRIDE: usize = 3;

/// Follows one rendition.
pub(super) struct Follower {
    pub(super) http: Http,
    /// Of the media playlist.
    pub(super) url: String,
    pub(super) mode: Mode,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Follower {
    /// Until the end of the list or until stopped.
    pub(super) async fn run(mut self, name: String, keep_media: bool) -> RenditionReport {
        let mut judge = Judge::new(name, self.mode, keep_media);
        let mut stopped = self.stopped.clone();
        let mut longest_wait = Duration::ZERO;
        tokio::select! {
            () = self.follow(&mut judge, &mut longest_wait) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        let look = self.look_again(&mut judge);
        if timeout(SECOND_LOOK, look).await.is_err() {
            judge.failed("fetching files once more took too long");
        }
        RenditionReport { longest_wait, ..judge.finish() }
    }

    async fn follow(&mut self, judge: &mut Judge, longest_wait: &mut Duration) {
        let mut grew = Instant::now();
        while !judge.ended() {
            let url = match (self.mode, judge.next()) {
                (Mode::LowLatency, Some((msn, part))) => {
                    format!("{}?_HLS_msn={msn}&_HLS_part={part}", self.url)
                }
                _ => self.url.clone(),
            };
            let Some(bytes) = self.get(&url, judge).await else {
                sleep(PAUSE).await;
                continue;
            };
            let before = judge.next();
            let listed = judge.playlist(&String::from_utf8_lossy(&bytes));
            if before.is_none() {
                grew = Instant::now();
            } else if judge.next() != before {
                *longest_wait = grew.elapsed().max(*longest_wait);
                grew = Instant::now();
            }
            for wanted in listed {
                match self.file(&wanted.uri, judge).await {
                    Some(bytes) => judge.fetched(&wanted, &bytes),
                    None => judge.broken(format!("{}: listed and never served", wanted.uri)),
                }
            }
            if self.mode == Mode::Classic && !judge.ended() {
                // §6.3.4: half a target duration is the shortest a player may wait.
                let half = u64::try_from(judge.target().unwrap_or(1) * 500).unwrap_or(500);
                sleep(Duration::from_millis(half)).await;
            }
        }
    }

    /// A listed file, tried again while the servers recover.
    async fn file(&self, uri: &str, judge: &mut Judge) -> Option<Bytes> {
        let url = resolve(&self.url, uri).ok()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(bytes) = self.get(&url, judge).await {
                return Some(bytes);
            }
            if Instant::now() > deadline {
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    async fn get(&self, url: &str, judge: &mut Judge) -> Option<Bytes> {
        match self.http.get(url).await {
            Ok((status, bytes)) if status.is_success() => Some(bytes),
            Ok((status, _)) => {
                judge.failed(&format!("{url}: {status}"));
                None
            }
            Err(error) => {
                judge.failed(&format!("{error:#}"));
                None
            }
        }
    }

    async fn look_again(&self, judge: &mut Judge) {
        for uri in judge.to_check_again(STRIDE) {
            let Ok(url) = resolve(&self.url, &uri) else { continue };
            if let Some(bytes) = self.get(&url, judge).await {
                judge.fetched_again(&uri, &bytes);
            }
        }
    }
}
