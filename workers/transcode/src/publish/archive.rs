//! What follows when segments are durable: the index, the event, the
//! checkpoint. One task per broadcast.
//!
//! An index that the store does not take is tried again, and the checkpoint
//! waits for it, while live goes on. What waits is bounded: the descriptions of
//! segments, and keyframes, of half the replay window.

use std::collections::HashMap;

use millrace_media::id::{Msn, RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::{BroadcastInfo, SegmentInfo};
use millrace_media::time::Ticks;
use millrace_media::timeline::Snapshot;
use millrace_platform::report::report;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::{Candidate, Checkpoints};
use super::inbox::Inbox;
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
    announced: Option<Msn>,
    /// The index's head says less than is known.
    behind: bool,
    /// What the index had before is not known yet.
    unread: bool,
    /// Another process goes on with the broadcast.
    overtaken: bool,
}

impl Archive {
    /// Goes on with `head`, what the store has of this broadcast.
    pub fn new(services: Services, mut head: Head, names: &[RenditionName]) -> Self {
        head.info.ended = false;
        let complete = head.complete();
        let done: HashMap<_, _> = names.iter().map(|n| (n.clone(), complete)).collect();
        let patience = Ticks(services.config.replay_window.0 / 2);
        let checkpoints = Checkpoints::new(head.info.segment_duration, patience, done);
        Self {
            services,
            announced: complete,
            head,
            run: None,
            checkpoints,
            behind: false,
            unread: false,
            overtaken: false,
        }
    }

    /// The store could not be asked for what it has, whatever is known of it from
    /// before: nothing is written until it was.
    #[must_use]
    pub fn unread(self) -> Self {
        Self { unread: true, behind: true, ..self }
    }

    /// Works until the broadcast ends, its session is gone, or another process
    /// goes on with it.
    pub async fn run(mut self, notes: mpsc::Receiver<Note>) {
        let mut inbox = Inbox::new(notes);
        let mut backoff = live_backoff();
        let mut end = None;
        while end.is_none() {
            let again = self.behind.then(|| backoff.next_delay());
            if !inbox.wait(again).await {
                return;
            }
            // All that has come by now is written at once.
            for note in inbox.take() {
                self.take(note, &mut end);
            }
            inbox.fill_while(self.write()).await;
            if !self.behind {
                backoff.reset();
            }
            if self.overtaken {
                self.services.index_is(false, false);
                return;
            }
        }
        let Some(Ending { offset, snapshot, done }) = end else { return };
        self.head.info.ended = true;
        while !(self.read().await && self.write_head().await) {
            backoff.wait().await;
        }
        self.services.index_is(false, false);
        while self.services.owes_before(self.head.info.broadcast) {
            backoff.wait().await;
        }
        let overtaken = loop {
            match self.is_overtaken().await {
                Some(overtaken) => break overtaken,
                None => backoff.wait().await,
            }
        };
        if let Some(snapshot) = snapshot.filter(|_| !overtaken) {
            self.services.commit(offset, &snapshot).await;
        }
        let _ = done.send(());
    }

    fn take(&mut self, note: Note, end: &mut Option<Ending>) {
        match note {
            // Redis may have been told of the end before all was stored: the
            // index is told by `Ending` alone.
            Note::Info(info) => {
                self.head.info = BroadcastInfo { ended: false, ..info };
                self.behind = true;
            }
            Note::Run(run) => {
                self.run = Some(run);
                self.head.run = run;
                self.behind = true;
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
        if self.read().await {
            self.announce();
            if self.behind {
                self.behind = !self.write_head().await;
            }
        }
        self.checkpoint().await;
    }

    fn announce(&mut self) {
        let complete = self.head.complete();
        let Some(last) = complete.filter(|_| complete > self.announced) else { return };
        let first = self.announced.map_or(0, |msn| msn.0.saturating_add(1));
        let restart = self.checkpoints.due();
        for msn in first..=last.0 {
            let restart = restart.filter(|_| msn == last.0);
            self.services.segment_generated(&self.head, Msn(msn), restart);
        }
        self.announced = complete;
        self.behind = true;
    }

    /// Commits what is due once the index says that it is durable, and so does
    /// that of the broadcast before, and nobody else goes on with it. Where it
    /// can't for so long that the log could lose what is between, it moves on all
    /// the same: viewers have that media, the archive will not.
    async fn checkpoint(&mut self) {
        let waits = self.behind || self.services.owes_before(self.head.info.broadcast);
        let overdue = self.checkpoints.is_overdue();
        self.services.index_is(self.behind, self.behind && overdue);
        let Some(point) = self.checkpoints.due().cloned() else { return };
        if waits && !overdue {
            return;
        }
        let overtaken = self.is_overtaken().await;
        self.overtaken = overtaken == Some(true);
        if self.overtaken || (overtaken.is_none() && !overdue) {
            return;
        }
        if waits {
            self.services.metrics.index_left_behind();
            tracing::error!(offset = point.offset, "the checkpoint moves on without the index");
        }
        if self.services.commit(point.offset, &point.snapshot).await {
            self.checkpoints.commit();
        }
    }

    /// What this process has made durable, the other may not have: where that
    /// goes on after a crash is for it to say. `None` while nobody can tell.
    async fn is_overtaken(&self) -> Option<bool> {
        let Some(run) = self.run else { return Some(false) };
        let broadcast = self.head.info.broadcast;
        match self.services.is_overtaken(broadcast, run).await {
            Ok(true) => {
                tracing::warn!(%broadcast, %run, "another process has gone on: nothing more is committed");
                Some(true)
            }
            Ok(false) => Some(false),
            Err(error) => {
                tracing::warn!(error = report(&error), "who writes is not known");
                None
            }
        }
    }

    /// Reads what the index has, if that could not be done before, and goes on
    /// with it. Whether it is known now.
    async fn read(&mut self) -> bool {
        if !self.unread {
            return true;
        }
        match self.services.head(self.head.info.broadcast).await {
            Ok(found) => {
                if let Some(found) = found {
                    self.announced = found.complete();
                    self.head = found.followed_by(&self.head);
                }
                self.unread = false;
                self.behind = true;
                true
            }
            Err(error) => {
                tracing::warn!(error = report(&error), "the index is not read yet");
                false
            }
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
}
