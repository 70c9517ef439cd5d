//! An accepted publisher: its messages to the log, and what its leaving means.

use std::sync::Arc;

use bytes::Bytes;
use millrace_media::id::Epoch;
use millrace_media::record::{EndReason, Open, Track};
use tracing::{Span, debug, info, warn};

use crate::frames::{FrameError, Frames, Message};
use crate::keys::Admission;
use crate::log::Publishing;
use crate::refusal::Refusal;
use crate::seat::Seated;
use crate::stream::Stream;
use crate::watch::Watch;
use millrace_platform::wall;

/// One epoch while its publisher is connected.
#[derive(Debug)]
pub(crate) struct Publisher {
    stream: Arc<Stream>,
    seated: Seated,
    admission: Admission,
    publishing: Arc<Publishing>,
    epoch: Epoch,
    facts: Open,
    frames: Frames,
    watch: Watch,
    active: bool,
    span: Span,
}

impl Publisher {
    pub(crate) fn new(
        stream: Arc<Stream>,
        seated: Seated,
        admission: Admission,
        (epoch, facts): (Epoch, Open),
    ) -> Self {
        let watch = Watch::new(stream.clock.now(), stream.settings.max_bitrate_kbps);
        let span = tracing::info_span!("publisher", %epoch, broadcast = %facts.broadcast);
        span.in_scope(|| info!(key = %facts.key_id, "publishing"));
        stream.metrics.publishers.set(1);
        stream.metrics.epoch.set(i64::try_from(epoch.0).unwrap_or(i64::MAX));
        let frames = Frames::new(epoch, facts.clone());
        let publishing = stream.log.publishing(epoch, &facts);
        let active = false;
        Self { stream, seated, admission, publishing, epoch, facts, frames, watch, active, span }
    }

    /// Takes an audio or video message.
    pub(crate) fn message(
        &mut self,
        track: Track,
        time_ms: i64,
        payload: Bytes,
    ) -> Result<(), Refusal> {
        let now = self.stream.clock.now();
        self.seated.alive(now);
        self.stream.metrics.message(track, payload.len());
        self.watch.message(now, track, time_ms, payload.len())?;
        let message = Message { track, time_ms, arrival_ms: wall::ms(), payload };
        let written = match self.frames.push(&message) {
            Ok(written) => written,
            Err(FrameError::Malformed(error)) => {
                self.stream.metrics.malformed.inc();
                debug!(parent: &self.span, "skipped: {error}");
                return Ok(());
            }
            Err(FrameError::VideoConfig(error)) => {
                warn!(parent: &self.span, "{error}");
                return Err(Refusal::BadVideo);
            }
        };
        if written.picture && !self.active {
            self.active = true;
            self.stream.rows.active(self.epoch, &self.facts);
        }
        if self.stream.log.write(&written).gops > 0 {
            self.frames.after_loss();
        }
        Ok(())
    }

    /// Resolves when the publisher may not go on.
    pub(crate) async fn must_go(&self) -> Refusal {
        tokio::select! {
            () = self.seated.replaced() => Refusal::Replaced,
            () = self.publishing.over() => Refusal::Overtaken,
            refusal = self.admission.over() => refusal,
        }
    }

    /// The broadcast is over.
    pub(crate) fn end(self, reason: EndReason) {
        self.span.in_scope(|| info!(?reason, "broadcast ended"));
        self.stream.end(self.epoch, &self.facts, reason);
    }

    /// The publisher is gone without a word; it may come back, unless the log
    /// says that its broadcast is over.
    pub(crate) fn interrupt(self) {
        if let Some(closed) = self.stream.log.closed(self.facts.broadcast) {
            self.span.in_scope(|| info!(reason = ?closed.reason, "ended by another"));
            return self.stream.rows.closed(&closed);
        }
        let window = self.stream.settings.reconnect_window.as_secs();
        self.span.in_scope(|| info!(window_seconds = window, "interrupted"));
        self.stream.rows.interrupted(self.epoch, &self.facts);
        self.stream.window.arm(self.epoch, &self.facts);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stream.metrics.publishers.set(0);
    }
}
