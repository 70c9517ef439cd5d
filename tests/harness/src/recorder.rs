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

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::http::Http;
use crate::playlist::{Multivariant, resolve};

pub use fragment::{Frame, Init, sha};
pub use report::{RenditionReport, Report, SeenSegment};

/// How the playlist is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Blocking reload, part by part.
    LowLatency,
    /// Polling, whole segments only.
    Classic,
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
        let (stop, stopped) = watch::channel(false);
        let mut renditions = JoinSet::new();
        let variants = playlist.variants.iter().map(|variant| &variant.uri);
        for uri in variants.chain(&playlist.audio) {
            let follower = follow::Follower {
                http: http.clone(),
                url: resolve(index, uri)?,
                mode,
                stopped: stopped.clone(),
            };
            renditions.spawn(follower.run(rendition(uri), keep_media));
        }
        Ok(Self { stop, renditions })
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
    pub async fn until_ended(mut self, limit: Duration) -> Result<Report> {
        let mut reports = Vec::new();
        let all = async {
            while let Some(report) = self.renditions.join_next().await {
                reports.push(report.context("following a rendition")?);
            }
            anyhow::Ok(())
        };
        let in_time = timeout(limit, all).await;
        if let Ok(result) = in_time {
            result?;
            return Ok(Report::new(reports));
        }
        self.stop.send_replace(true);
        while let Some(report) = self.renditions.join_next().await {
            reports.push(report.context("following a rendition")?);
        }
        bail!("not ended within {} s:\n{}", limit.as_secs(), Report::new(reports))
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
