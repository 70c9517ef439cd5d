//! What follows when segments are durable: the index, the event, the
//! checkpoint. One task per broadcast.

use std::collections::HashMap;

use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{BroadcastInfo, SegmentInfo};
use millrace_media::timeline::Snapshot;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{Candidate, Checkpoints};
use super::redis::live_backoff;
use crate::services::Services;

/// What the archive is told.
#[derive(Debug)]
pub enum Note {
    /// The broadcast's renditions are known, or it has ended.
    Info(BroadcastInfo),
    /// A run begins: it owns a head of its own.
    Run(Run),
    /// A keyframe to restart at.
    Candidate(Candidate),
    /// A segment is in the object store, or there is a gap.
    Stored(RenditionName, SegmentInfo),
    /// Everything is out: write the last head, commit, answer.
    End {
        /// Offset to go on at.
        offset: i64,
        /// The fold's state there.
        snapshot: Option<Box<Snapshot>>,
        /// Told when all is done.
        done: oneshot::Sender<()>,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Archive {
    services: Services,
    head: Head,
    run: Option<Run>,
    checkpoints: Checkpoints,
    written: Option<Msn>,
}

impl Archive {
    /// Goes on with `head`, what the store has of this broadcast.
    pub fn new(services: Services, head: Head, names: &[RenditionName]) -> Self {
        let complete = head.complete();
        let done: HashMap<_, _> = names.iter().map(|n| (n.clone(), complete)).collect();
        let checkpoints = Checkpoints::new(head.info.segment_duration, done);
        Self { services, written: complete, head, run: None, checkpoints }
    }

    /// Works until the broadcast ends or its session is gone.
    pub async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        while let Some(note) = notes.recv().await {
            match note {
                Note::Info(info) => {
                    self.head.info = info;
                    self.write_head().await;
                }
                Note::Run(run) => {
                    self.run = Some(run);
                    self.head.run = run;
                    self.write_head().await;
                }
                Note::Candidate(candidate) => self.checkpoints.add(candidate),
                Note::Stored(rendition, segment) => self.stored(&rendition, segment).await,
                Note::End { offset, snapshot, done } => {
                    self.head.info.ended = true;
                    let mut backoff = live_backoff();
                    while !self.write_head().await {
                        backoff.wait().await;
                    }
                    self.services.commit(offset, snapshot.as_deref()).await;
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    async fn stored(&mut self, rendition: &RenditionName, segment: SegmentInfo) {
        let msn = segment.msn;
        self.head.push(rendition, segment);
        self.checkpoints.done(rendition, msn);
        let complete = self.head.complete();
        if let Some(last) = complete.filter(|_| complete > self.written) {
            let first = self.written.map_or(0, |msn| msn.0.saturating_add(1));
            for msn in first..=last.0 {
                self.services.segment_generated(&self.head, Msn(msn));
            }
            self.write_head().await;
            self.written = complete;
            self.commit().await;
        }
    }

    /// Whether it is written; if not, the next one says the same and more.
    async fn write_head(&mut self) -> bool {
        // Before the renditions are known there is nothing a reader could use.
        if self.run.is_none() || self.head.info.renditions.is_empty() {
            return true;
        }
        let mut shorter = self.head.clone();
        if let Some((reference, chunk)) = shorter.cut_chunk()
            && self.services.put_chunk(&self.head.info, &reference, &chunk).await
        {
            self.head = shorter;
        }
        self.services.put_head(&self.head).await
    }

    async fn commit(&mut self) {
        if let Some(point) = self.checkpoints.take() {
            self.services.commit(point.offset, Some(&point.snapshot)).await;
        }
    }
}
