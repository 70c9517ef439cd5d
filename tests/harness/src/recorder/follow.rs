//! Reading one rendition's playlist for as long as it lives, and fetching all
//! it lists.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Mode;
use super::judge::Judge;
use super::report::{Arrival, RenditionReport};
use crate::http::Http;
use crate::playlist::resolve;

/// Pause after a failed request.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a listed file may fail to be served before that is a breach.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same of what was served before.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Most time for fetching once more what is listed at the end.
const SECOND_LOOK: Duration = Duration::from_secs(30);

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
    pub(super) async fn run(mut self, mut judge: Judge) -> RenditionReport {
        let mut stopped = self.stopped.clone();
        let mut arrivals = Vec::new();
        tokio::select! {
            () = self.follow(&mut judge, &mut arrivals) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        let look = self.look_again(&mut judge);
        if timeout(SECOND_LOOK, look).await.is_err() {
            judge.broken("fetching files once more took too long".to_owned());
        }
        RenditionReport { arrivals, ..judge.finish() }
    }

    async fn follow(&mut self, judge: &mut Judge, arrivals: &mut Vec<Arrival>) {
        while !judge.ended() {
            let url = match (self.mode, judge.next()) {
                (Mode::LowLatency, Some((msn, part))) => {
                    let and = if self.url.contains('?') { '&' } else { '?' };
                    format!("{}{and}_HLS_msn={msn}&_HLS_part={part}", self.url)
                }
                _ => self.url.clone(),
            };
            let Some(bytes) = self.get(&url, judge).await else {
                sleep(PAUSE).await;
                continue;
            };
            let before = judge.next();
            let listed = judge.playlist(&String::from_utf8_lossy(&bytes));
            if let Some((msn, part)) = judge.next().filter(|next| Some(*next) != before) {
                arrivals.push(Arrival { at: Instant::now(), msn, part, media: judge.listed() });
            }
            for wanted in listed {
                match self.file(&wanted.uri, PATIENCE, judge).await {
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
    async fn file(&self, uri: &str, patience: Duration, judge: &mut Judge) -> Option<Bytes> {
        let url = resolve(&self.url, uri).ok()?;
        let deadline = Instant::now() + patience;
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

    /// All that is still offered when the recording ends.
    async fn look_again(&self, judge: &mut Judge) {
        if judge.may_vanish() && self.get(&self.url, judge).await.is_none() {
            return;
        }
        for uri in judge.to_check_again() {
            match self.file(&uri, LAST_PATIENCE, judge).await {
                Some(bytes) => judge.fetched_again(&uri, &bytes),
                None => judge.broken(format!("{uri}: still listed and not served again")),
            }
        }
    }
}
