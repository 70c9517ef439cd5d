//! The index and the checkpoint, as `publish::archive` keeps them.

use std::collections::VecDeque;

use millrace_media::id::{RenditionName, Run};
use millrace_media::index::Head;
use millrace_media::published::SegmentInfo;
use millrace_media::time::Ticks;
use millrace_media::timeline::Snapshot;
use millrace_transcode::publish::checkpoint::{Candidate, Checkpoints};

use crate::world::{Token, World};
use crate::{SEGMENT, info};

pub(crate) enum Note {
    Info,
    Run(Run),
    Candidate(Candidate),
    Stored(RenditionName, SegmentInfo),
}

pub(crate) struct Archive {
    token: Token,
    sound: bool,
    head: Head,
    run: Option<Run>,
    checkpoints: Checkpoints,
    notes: VecDeque<Note>,
    behind: bool,
    announced: Option<millrace_media::id::Msn>,
    pub(crate) overtaken: bool,
}

impl Archive {
    pub(crate) fn new(token: Token, found: Option<&Head>, sound: bool) -> Self {
        let mut fresh = Head::new(info(sound), Run(0));
        fresh.info.renditions.clear();
        let head = found.cloned().unwrap_or(fresh);
        let complete = head.complete();
        let names = info(sound).renditions.into_iter().map(|r| (r.name, complete));
        let checkpoints = Checkpoints::new(SEGMENT, Ticks::from_ms(450_000), names.collect());
        Self {
            token,
            sound,
            announced: complete,
            head,
            run: None,
            checkpoints,
            notes: VecDeque::new(),
            behind: false,
            overtaken: false,
        }
    }

    pub(crate) fn tell(&mut self, note: Note) {
        self.notes.push_back(note);
    }

    fn take_notes(&mut self) {
        for note in self.notes.drain(..) {
            match note {
                Note::Info => {
                    self.head.info = info(self.sound);
                    self.behind = true;
                }
                Note::Run(run) => {
                    (self.run, self.head.run, self.behind) = (Some(run), run, true);
                }
                Note::Candidate(candidate) => self.checkpoints.add(candidate),
                Note::Stored(rendition, segment) => {
                    let msn = segment.msn;
                    self.head.push(&rendition, segment);
                    self.checkpoints.done(&rendition, msn);
                }
            }
        }
        let complete = self.head.complete();
        if complete > self.announced {
            (self.announced, self.behind) = (complete, true);
        }
    }

    /// One write, if there is one to do.
    pub(crate) fn step(&mut self, world: &mut World) -> bool {
        if self.overtaken {
            return false;
        }
        if !self.behind {
            // What follows the last head, before another note is taken.
            if let Some(point) = self.checkpoints.due().cloned() {
                self.overtaken = self.run.is_some_and(|run| world.is_overtaken(run, self.token));
                if !self.overtaken {
                    commit(world, point.offset, &point.snapshot);
                    self.checkpoints.commit();
                }
                return true;
            }
        }
        self.take_notes();
        std::mem::take(&mut self.behind) && self.write_head(world)
    }

    fn write_head(&mut self, world: &mut World) -> bool {
        let writes = self.run.is_some() && !self.head.info.renditions.is_empty();
        if writes {
            world.put_head(&self.head);
        }
        writes
    }

    /// Everything is stored.
    pub(crate) fn end(&mut self, world: &mut World, offset: i64, snapshot: Option<&Snapshot>) {
        self.take_notes();
        self.head.info.ended = true;
        self.write_head(world);
        let overtaken = self.run.is_some_and(|run| world.is_overtaken(run, self.token));
        if let Some(snapshot) = snapshot.filter(|_| !overtaken) {
            commit(world, offset, snapshot);
        }
    }
}

/// Only forward, and as bytes.
fn commit(world: &mut World, offset: i64, snapshot: &Snapshot) {
    if world.checkpoint.as_ref().is_none_or(|(there, _)| offset > *there) {
        let snapshot = Snapshot::from_bytes(&snapshot.to_bytes()).unwrap();
        world.checkpoint = Some((offset, snapshot));
    }
}
