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
    End(Ending),
}

/// What follows when everything is out.
#[derive(Debug)]
pub struct Ending {
    /// Offset to go on at.
    pub offset: i64,
    /// The fold's state there.
    pub snapshot: Option<Box<Snapshot>>,
    /// Told when all is done.
    pub done: oneshot::Sender<()>,
}

/// See the module.
#[derive(Debug)]
pub struct Archive {
    services: Services,
    head: Head,
    run: Option<Run>,
    checkpoints: Checkpoints,
    /// All up to here were announced.
    written: Option<Msn>,
    /// The index's head is to be written for another reason than a segment.
    changed: bool,
}

impl Archive {
    /// Goes on with `head`, what the store has of this broadcast.
    pub fn new(services: Services, head: Head, names: &[RenditionName]) -> Self {
        let complete = head.complete();
        let done: HashMap<_, _> = names.iter().map(|n| (n.clone(), complete)).collect();
        let checkpoints = Checkpoints::new(head.info.segment_duration, done);
        Self { services, written: complete, head, run: None, checkpoints, changed: false }
    }

    /// Works until the broadcast ends or its session is gone.
    pub async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        let mut end = None;
        while end.is_none() {
            let Some(note) = notes.recv().await else { return };
            self.take(note, &mut end);
            // All that has come by now is written at once: a store that is slow
            // to fail must not let the notes pile up until nobody can add one.
            while let Ok(note) = notes.try_recv() {
                self.take(note, &mut end);
            }
            self.write().await;
        }
        let Some(Ending { offset, snapshot, done }) = end else { return };
        self.head.info.ended = true;
        let mut backoff = live_backoff();
        while !self.write_head().await {
            backoff.wait().await;
        }
        self.services.commit(offset, snapshot.as_deref()).await;
        let _ = done.send(());
    }

    fn take(&mut self, note: Note, end: &mut Option<Ending>) {
        match note {
            Note::Info(info) => {
                self.head.info = info;
                self.changed = true;
            }
            Note::Run(run) => {
                self.run = Some(run);
                self.head.run = run;
                self.changed = true;
            }
            Note::Candidate(candidate) => self.checkpoints.add(candidate),
            Note::Stored(rendition, segment) => {
                let msn = segment.msn;
                self.head.push(&rendition, segment);
                self.checkpoints.done(&rendition, msn);
            }
            Note::End(ending) => *end = Some(ending),
        }
    }

    /// Says what is new: segments that all renditions have, then the index,
    /// then the checkpoint.
    async fn write(&mut self) {
        let complete = self.head.complete();
        if let Some(last) = complete.filter(|_| complete > self.written) {
            let first = self.written.map_or(0, |msn| msn.0.saturating_add(1));
            let restart = self.checkpoints.take();
            for msn in first..=last.0 {
                let restart = restart.as_deref().filter(|_| msn == last.0);
                self.services.segment_generated(&self.head, Msn(msn), restart);
            }
            self.written = complete;
            self.write_head().await;
            if let Some(point) = restart {
                self.services.commit(point.offset, Some(&point.snapshot)).await;
            }
        } else if self.changed {
            self.write_head().await;
        }
        self.changed = false;
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
}
