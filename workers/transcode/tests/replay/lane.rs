//! One rendition's way to Redis, as `publish::redis::Drain` goes it: a write at
//! a time, so that a process may die between any two.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use millrace_media::id::{RenditionName, Run};
use millrace_media::published::{Entry, PartInfo};
use millrace_platform::redis::media::EntryId;
use millrace_transcode::publish::lane::Lane;
use millrace_transcode::publish::redis::RedisOp;
use millrace_transcode::publish::resume::RenditionResume;

use crate::world::{Answer, Token, World};

/// Why a process can't go on.
#[derive(Debug, PartialEq)]
pub(crate) struct Stopped;

pub(crate) struct ToRedis {
    name: RenditionName,
    pub(crate) lane: Arc<Lane<RedisOp>>,
    read: Option<EntryId>,
    last: Option<EntryId>,
    window: Vec<Entry>,
    open: Vec<RedisOp>,
    hand: Option<RedisOp>,
    /// What is still to be done before the one in hand: Redis had lost it.
    lost: VecDeque<Again>,
}

enum Again {
    Claim,
    Describe,
    Window,
    Op(RedisOp),
}

impl ToRedis {
    pub(crate) fn new(
        name: RenditionName,
        lane: Arc<Lane<RedisOp>>,
        resume: &RenditionResume,
        open: Vec<(PartInfo, Bytes)>,
    ) -> Self {
        let open = open.into_iter().map(|(info, bytes)| RedisOp::Part { info, bytes });
        Self {
            name,
            lane,
            read: resume.read,
            last: resume.read,
            window: resume.listed.clone(),
            open: open.collect(),
            hand: None,
            lost: VecDeque::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hand.is_none() && self.lane.depth().0 == 0
    }

    /// One write, if there is one to do.
    pub(crate) fn step(
        &mut self,
        world: &mut World,
        (run, token): (Run, Token),
    ) -> Result<bool, Stopped> {
        if let Some(again) = self.lost.pop_front() {
            let answer = match again {
                Again::Claim => world.claim_lease(run, token),
                Again::Describe => world.describe((run, token)),
                Again::Window => world.append((run, token), &self.name, &self.window),
                Again::Op(op) => publish(world, (run, token), &self.name, &op, None),
            };
            return match answer {
                Answer::Fenced => Err(Stopped),
                Answer::Lost => {
                    self.lost.clear();
                    Ok(true)
                }
                _ => Ok(true),
            };
        }
        let op = match self.hand.take() {
            Some(op) => op,
            None => match self.lane.pop().now_or_never() {
                Some(Some(op)) => op,
                _ => return Ok(false),
            },
        };
        match publish(world, (run, token), &self.name, &op, self.last) {
            Answer::Fenced => return Err(Stopped),
            Answer::Lost => {
                self.lost.extend([Again::Claim, Again::Describe, Again::Window]);
                self.lost.extend(self.open.iter().cloned().map(Again::Op));
                self.last = None;
                self.hand = Some(op);
            }
            Answer::Kept(there) if Some(EntryId::of(&there)) > self.read => return Err(Stopped),
            Answer::Kept(_) | Answer::Late | Answer::Done => {
                self.done(op);
                self.lane.done();
            }
        }
        Ok(true)
    }

    fn done(&mut self, op: RedisOp) {
        self.last = self.last.max(entry(&op).as_ref().map(EntryId::of));
        match op {
            RedisOp::Init { .. } => {}
            RedisOp::Part { .. } => self.open.push(op),
            RedisOp::Segment { info, .. } => {
                self.open.clear();
                self.window.push(Entry::Segment(info));
            }
        }
    }
}

fn entry(op: &RedisOp) -> Option<Entry> {
    match op {
        RedisOp::Init { .. } => None,
        RedisOp::Part { info, .. } => Some(Entry::Part(info.clone())),
        RedisOp::Segment { info, .. } => Some(Entry::Segment(info.clone())),
    }
}

fn publish(
    world: &mut World,
    lease: (Run, Token),
    name: &RenditionName,
    op: &RedisOp,
    last: Option<EntryId>,
) -> Answer {
    let bytes: &Bytes = match op {
        RedisOp::Init { .. } => return Answer::Done,
        RedisOp::Part { bytes, .. } | RedisOp::Segment { bytes: Some(bytes), .. } => bytes,
        RedisOp::Segment { info, bytes: None, .. } => {
            return world.append(lease, name, &[Entry::Segment(info.clone())]);
        }
    };
    let Some(entry) = entry(op) else { return Answer::Done };
    world.publish(lease, name, &entry, bytes, last)
}
