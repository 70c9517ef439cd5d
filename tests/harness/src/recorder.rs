//! A viewer that keeps and judges everything a broadcast ever offers.
//!
//! It follows every rendition at once, by blocking reload or by polling as
//! classic players do, downloads each part and segment when it is listed, and
//! holds what it sees to RFC 8216bis and to Millrace's own promises: numbers
//! without holes that never go back, bytes that never change, frames that
//! follow each other without a gap. [`Report`] tells what was seen and every
//! promise broken.
//!
//! [`follow`] has the sockets; all judging is pure and knows no clock.

mod follow;
mod fragment;
mod judge;
mod report;
mod rules;
mod snapshot;

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::http::Http;
use crate::playlist::{Multivariant, resolve};

use self::judge::Judge;

pub use fragment::{Frame, Init, sha};
pub use report::{Arrival, RenditionReport, Report, SeenSegment};

/// How the playlist is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Blocking reload, part by part.
    LowLatency,
    /// Polling, whole segments only.
    Classic,
}

/// Whose broadcast it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Ours: what we promise beyond RFC 8216bis holds too, to the microsecond.
    Ours,
    /// Any server's. Tags that are not known here are passed over, as §6.3.1 has it, times may be
    /// rounded to the millisecond, and media that cannot be read is kept and compared, no more.
    Any,
}

/// A running recording of one broadcast.
#[derive(Debug)]
pub struct Recorder {
    stop: watch::Sender<bool>,
    renditions: JoinSet<RenditionReport>,
}

impl Recorder {
    /// Starts recording the broadcast that the multivariant playlist at
    /// `index` names now, all variants and audio renditions of it. With
    /// `keep_media`, segments' bytes stand in the report.
    ///
    /// # Errors
    /// When there is no multivariant playlist.
    pub async fn start(http: &Http, index: &str, mode: Mode, keep_media: bool) -> Result<Self> {
        let playlist = Multivariant::parse(&http.text(index).await?)?;
        let mut urls = Vec::new();
        let variants = playlist.variants.iter().map(|variant| &variant.uri);
        for uri in variants.chain(&playlist.audio) {
            urls.push((rendition(uri), resolve(index, uri)?));
        }
        Ok(Self::follow(http, urls, mode, |name| Judge::new(name, mode, Origin::Ours, keep_media)))
    }

    /// Starts recording what any server offers at `url`, a multivariant playlist or the playlist of
    /// one rendition; by blocking reload where the server can.
    ///
    /// # Errors
    /// When there is no playlist.
    pub async fn start_any(http: &Http, url: &str) -> Result<Self> {
        let text = http.text(url).await?;
        let mut urls = Vec::new();
        if text.contains("#EXT-X-STREAM-INF") {
            let playlist = Multivariant::parse(&text)?;
            let variants = playlist.variants.iter().map(|variant| &variant.uri);
            let all: BTreeSet<&String> = variants.chain(&playlist.audio).collect();
            for uri in all {
                urls.push((uri.clone(), resolve(url, uri)?));
            }
        } else {
            urls.push((url.rsplit('/').next().unwrap_or(url).to_owned(), url.to_owned()));
        }
        let first = urls.first().map_or(url, |(_, url)| url.as_str());
        let blocks = http.text(first).await?.contains("CAN-BLOCK-RELOAD=YES");
        let mode = if blocks { Mode::LowLatency } else { Mode::Classic };
        Ok(Self::follow(http, urls, mode, |name| Judge::new(name, mode, Origin::Any, true)))
    }

    fn follow(
        http: &Http,
        urls: Vec<(String, String)>,
        mode: Mode,
        judge: impl Fn(String) -> Judge,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut renditions = JoinSet::new();
        for (name, url) in urls {
            let (http, stopped) = (http.clone(), stopped.clone());
            let follower = follow::Follower { http, url, mode, stopped };
            renditions.spawn(follower.run(judge(name)));
        }
        Self { stop, renditions }
    }

    /// Stops now and reports.
    ///
    /// # Errors
    /// When following a rendition panicked.
    pub async fn stop(self) -> Result<Report> {
        self.stop.send_replace(true);
        self.collect().await
    }

    /// Waits for the end of the broadcast in every rendition and reports.
    ///
    /// # Errors
    /// When it hasn't ended within `limit`; the error tells what was seen.
    pub async fn until_ended(self, limit: Duration) -> Result<Report> {
        let report = self.at_most(limit).await?;
        ensure!(report.ended(), "not ended within {} s:\n{report}", limit.as_secs());
        Ok(report)
    }

    /// The same, but reports what was seen even if it hasn't ended within `limit`.
    ///
    /// # Errors
    /// When following a rendition panicked.
    pub async fn at_most(self, limit: Duration) -> Result<Report> {
        let stop = self.stop.clone();
        let mut all = pin!(self.collect());
        if let Ok(report) = timeout(limit, &mut all).await {
            return report;
        }
        stop.send_replace(true);
        all.await
    }

    async fn collect(mut self) -> Result<Report> {
        let mut reports = Vec::new();
        while let Some(report) = self.renditions.join_next().await {
            reports.push(report.context("following a rendition")?);
        }
        Ok(Report::new(reports))
    }
}

/// `720p` of `<broadcast>/720p/media.m3u8`.
fn rendition(uri: &str) -> String {
    uri.rsplit('/').nth(1).unwrap_or(uri).to_owned()
}
