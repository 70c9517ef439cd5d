//! The broadcast's description: told once the encoder has told its codecs, and
//! before any part.

use std::sync::{Arc, OnceLock};

use millrace_media::published::BroadcastInfo;
use millrace_platform::report::report;
use tokio::sync::{mpsc, oneshot, watch};

use super::Outlet;
use crate::format;
use crate::publish::archive::Note;
use crate::publish::redis;
use crate::services::{PublishError, Services};

impl Outlet {
    /// Publishes the broadcast's description once every rung has told its
    /// codecs.
    pub(in crate::session) fn announce(&mut self, codecs: Vec<oneshot::Receiver<String>>) {
        if std::mem::replace(&mut self.announcing, true) {
            return;
        }
        let rungs: Vec<_> = self.videos.iter().map(|(format, _)| format.clone()).collect();
        let mut info = self.info.clone();
        let audio = std::mem::take(&mut info.renditions);
        let publish = self.publish_later();
        self.drains.spawn(async move {
            for (rung, codecs) in rungs.iter().zip(codecs) {
                // An encoder that ends before it began is reported elsewhere.
                let Ok(codecs) = codecs.await else { return };
                let segment = info.segment_duration;
                info.renditions.push(format::video_rendition(rung, codecs, segment));
            }
            info.renditions.extend(audio);
            publish.run(info).await;
        });
    }

    pub(super) fn publish_later(&self) -> PublishInfo {
        PublishInfo {
            services: self.services.clone(),
            announced: self.announced.clone(),
            notes: self.notes.clone(),
            open: self.open.clone(),
            stopped: self.stopped.clone(),
        }
    }
}

/// Publishes a broadcast's description, then opens the lanes.
pub(super) struct PublishInfo {
    services: Services,
    announced: Arc<OnceLock<BroadcastInfo>>,
    notes: mpsc::Sender<Note>,
    open: watch::Sender<bool>,
    stopped: Arc<OnceLock<PublishError>>,
}

impl PublishInfo {
    pub(super) async fn run(self, info: BroadcastInfo) {
        let _ = self.announced.set(info.clone());
        // The durable description does not wait for Redis.
        let _ = self.notes.send(Note::Info(info.clone())).await;
        let mut backoff = redis::live_backoff();
        loop {
            let error = match self.services.put_broadcast(&info).await {
                Ok(()) => break,
                Err(PublishError::LeaseLost) => match self.services.reclaim(info.broadcast).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            match error {
                PublishError::Fenced { .. } => {
                    let _ = self.stopped.set(error);
                    return;
                }
                // Redis takes none of it: the lanes let go what they have.
                PublishError::Superseded { .. } => break,
                _ => {}
            }
            let wait = backoff.next_delay();
            if !matches!(error, PublishError::NoRun) {
                tracing::warn!(error = report(&error), ?wait, "the broadcast is not described yet");
            }
            tokio::time::sleep(wait).await;
        }
        self.open.send_replace(true);
    }
}
