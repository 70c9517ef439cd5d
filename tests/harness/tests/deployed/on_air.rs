//! A broadcast that is on, with somebody who records all of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use millrace_harness::clip;
use millrace_harness::http::{Http, eventually};
use millrace_harness::publisher::Source;
use millrace_harness::recorder::{Mode, Recorder, Report};
use millrace_harness::viewer::Viewer;

use crate::broadcaster::Broadcaster;
use crate::livestream::{self, KEYNOTE};
use crate::place::{Place, SHARED_HOST};
use crate::{release, watching};

/// Rungs of the example.
pub(crate) const RUNGS: usize = 2;
/// What has to appear before the stream is said to go on: more than a segment, and more than what
/// was made already.
const ENOUGH: Duration = Duration::from_secs(5);

/// A broadcast of the example, published from outside.
pub(crate) struct OnAir {
    http: Http,
    broadcaster: Broadcaster,
    viewer: Viewer,
    recorder: Recorder,
}

impl OnAir {
    /// Starts one, recorded part by part, and waits for pictures.
    pub(crate) async fn start(place: &Place) -> Result<Self> {
        Self::start_recorded(place, Mode::LowLatency).await
    }

    /// The same, recorded so.
    pub(crate) async fn start_recorded(place: &Place, mode: Mode) -> Result<Self> {
        release::stands(place).await?;
        livestream::apply_example().await?;
        KEYNOTE.patch(r#"{"ingest":{"service":{"type":"NodePort"}}}"#).await?;
        KEYNOTE.ready().await?;
        Self::publish(place, mode).await
    }

    /// The same, for a stream that is Ready.
    pub(crate) async fn publish(place: &Place, mode: Mode) -> Result<Self> {
        let http = place.http()?;
        let rtmp = KEYNOTE.rtmp(place).await?;
        let key = KEYNOTE.key().await?;
        let source = Source::Loop(clip::looping(|_| {}).await?);
        let broadcaster = Broadcaster::start(source, &rtmp, &key, "broadcaster")?;
        let index = format!("http://{SHARED_HOST}/hls/{}/index.m3u8", KEYNOTE.id());
        let mut viewer = watching::join(&http, &index).await?;
        let recorder = watching::record(&http, &index, mode).await?;
        watching::watch(&mut viewer, ENOUGH).await?;
        Ok(Self { http, broadcaster, viewer, recorder })
    }

    /// Waits until more video has appeared, of the same broadcast.
    pub(crate) async fn goes_on(&mut self) -> Result<()> {
        let before = self.viewer.media_url().to_owned();
        // It may be away at the moment, and is waited for below.
        let _ = self.viewer.catch_up().await;
        watching::watch(&mut self.viewer, ENOUGH).await?;
        ensure!(self.viewer.media_url() == before, "it is another broadcast");
        Ok(())
    }

    /// The broadcaster gives its connection up and makes another.
    pub(crate) fn reconnects(&self) {
        self.broadcaster.reconnect();
    }

    /// Waits until the source began anew.
    pub(crate) async fn begins_anew(&self) -> Result<()> {
        eventually("a discontinuity", Duration::from_mins(2), async || {
            let playlist = self.http.text(self.viewer.media_url()).await?;
            ensure!(playlist.lines().any(|line| line == "#EXT-X-DISCONTINUITY"), "{playlist}");
            Ok(())
        })
        .await
    }

    /// Ends it in order; says how often the broadcaster connected, and what the recorder saw.
    pub(crate) async fn end(self) -> Result<(u32, Report)> {
        let connections = self.broadcaster.stop().await?;
        let report = self.recorder.until_ended(Duration::from_mins(2)).await?;
        KEYNOTE.not_live().await?;
        Ok((connections, report))
    }

    /// Ends it where its LiveStream was deleted: the next one of the name takes up the broadcast,
    /// and nobody comes back to it.
    pub(crate) async fn end_of_deleted(self) -> Result<Report> {
        self.broadcaster.stop().await?;
        livestream::apply_example().await?;
        KEYNOTE.patch(r#"{"ingest":{"reconnectWindow":"1s"}}"#).await?;
        self.recorder.until_ended(Duration::from_mins(2)).await
    }
}
