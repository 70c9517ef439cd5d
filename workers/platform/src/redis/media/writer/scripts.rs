//! What a writer's scripts are called with, and what their answers say.

use std::sync::LazyLock;

use bytes::Bytes;
use millrace_media::id::{RenditionName, Run};
use millrace_media::published::{BroadcastInfo, Entry, InitHash};
use redis::{Cmd, Script, Value};

use super::{MediaWriter, Outcome, Write};
use crate::redis::media::{EntryId, Holder, Lease, MediaError};

/// Life of parts and segments, seconds.
const MEDIA_LIFE: u32 = 600;
/// Life of a part whose segment is complete, seconds.
const REPLACED_LIFE: u32 = 60;
/// Life of descriptions, playlists, init segments and the lease, seconds.
const LONG_LIFE: u32 = 24 * 60 * 60;

pub(super) static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../claim.lua")));
pub(super) static PUBLISH: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../publish.lua")));
pub(super) static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../append.lua")));

/// What must be in the playlist for the next entry to be written.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// This entry, or a later one.
    pub(super) id: Option<EntryId>,
    /// If not empty, this is it to the byte.
    pub(super) exactly: Vec<u8>,
}

impl MediaWriter {
    pub(super) fn claim_command(&self) -> Cmd {
        let mut call = self.call(&CLAIM, &[self.keys.writer(), self.keys.broadcast()]);
        call.arg(LONG_LIFE);
        call
    }

    /// Publishes one thing.
    pub(super) fn publish_command(
        &self,
        rendition: &RenditionName,
        write: &Write<'_>,
        (id, entry): (EntryId, &[u8]),
        before: &Before,
    ) -> Cmd {
        let broadcast = self.lease.broadcast;
        let (key, init, bytes, replaced, window_start) = match write {
            Write::Part(part, bytes) => {
                let name = (part.msn, part.part, part.run);
                let key = self.keys.part(broadcast, rendition, name);
                (key, &part.init, bytes, Vec::new(), None)
            }
            Write::Segment { info, bytes, parts, window_start } => {
                let part = |(part, run): &(u32, Run)| {
                    self.keys.part(broadcast, rendition, (info.msn, *part, *run))
                };
                let key = self.keys.segment(broadcast, rendition, (info.msn, info.run));
                let replaced = parts.iter().map(part).collect();
                (key, &info.init, bytes, replaced, Some(*window_start))
            }
        };
        let bytes: &[u8] = bytes;
        let playlist = self.keys.playlist(broadcast, rendition);
        let (description, init) = (self.keys.broadcast(), self.keys.init(broadcast, init));
        let keys = [self.keys.writer(), playlist, key, description, init];
        let keys = [&keys[..], &replaced].concat();
        let mut call = self.call(&PUBLISH, &keys);
        call.arg(id.to_string()).arg(entry).arg(bytes);
        call.arg(MEDIA_LIFE).arg(LONG_LIFE).arg(REPLACED_LIFE);
        call.arg(window_start.map(|msn| format!("{msn}-0")).unwrap_or_default());
        call.arg(before.id.map(|entry| entry.to_string()).unwrap_or_default());
        call.arg(before.exactly.as_slice());
        call
    }

    pub(super) fn set_init(&self, hash: &InitHash, bytes: &Bytes) -> Cmd {
        let mut set = redis::cmd("SET");
        let key = self.keys.init(self.lease.broadcast, hash);
        set.arg(key).arg(bytes.as_ref()).arg("EX").arg(LONG_LIFE);
        set
    }

    /// What an answer to [`Self::publish_command`] says.
    pub(super) fn outcome(
        &self,
        answer: redis::RedisResult<Value>,
        id: EntryId,
    ) -> Result<Outcome, MediaError> {
        let what = || format!("publish {id} of {}", self.keys.stream());
        let answer = answer.map_err(|e| self.redis.error(what(), e))?;
        let answer = self.allowed(answer, what)?;
        match answer.first().map(Vec::as_slice) {
            Some(b"ok") => Ok(Outcome::New),
            Some(b"same") => Ok(Outcome::Repeated),
            Some(b"not tried") => Ok(Outcome::NotTried),
            Some(b"kept") => {
                let there = answer.get(1).map(Vec::as_slice).unwrap_or_default();
                let there = serde_json::from_slice(there);
                Ok(Outcome::Kept(there.map_err(|e| self.redis.corrupt(what(), &e))?))
            }
            _ => Err(MediaError::OutOfOrder { entry: id, last: text(&answer, 1) }),
        }
    }

    pub(super) fn append_command(
        &self,
        info: Option<&BroadcastInfo>,
        ended: bool,
        entries: &[(RenditionName, Entry)],
    ) -> Result<Cmd, MediaError> {
        let what = || format!("write the description and entries of {}", self.keys.stream());
        let mut renditions: Vec<&RenditionName> = entries.iter().map(|(name, _)| name).collect();
        renditions.sort();
        renditions.dedup();
        let playlist = |name: &&RenditionName| self.keys.playlist(self.lease.broadcast, name);
        let mut keys = vec![self.keys.writer(), self.keys.broadcast()];
        keys.extend(renditions.iter().map(playlist));
        let mut call = self.call(&APPEND, &keys);
        let info = match info {
            Some(info) => self.redis.to_json(info, what)?,
            None => Vec::new(),
        };
        call.arg(LONG_LIFE).arg(info).arg(u8::from(ended));
        for (rendition, entry) in entries {
            // Lua counts from 1; two keys come before the playlists.
            let index = renditions.iter().position(|name| *name == rendition).unwrap_or(0) + 3;
            call.arg(index).arg(EntryId::of(entry).to_string());
            call.arg(self.redis.to_json(entry, what)?);
        }
        Ok(call)
    }

    /// A call of a script by its hash, with the lease as its first arguments.
    fn call(&self, script: &Script, keys: &[String]) -> Cmd {
        let Lease { broadcast, run, token } = self.lease;
        let mut call = redis::cmd("EVALSHA");
        call.arg(script.get_hash()).arg(keys.len()).arg(keys);
        call.arg(broadcast.to_string()).arg(run.0).arg(token.to_string());
        call
    }

    /// Runs one call.
    pub(super) async fn run(
        &self,
        script: &Script,
        call: Cmd,
        what: impl Fn() -> String,
    ) -> Result<(), MediaError> {
        let answer = self.redis.scripts(script, vec![call], &what).await?.pop();
        let nothing = || self.redis.corrupt(what(), &"no answer");
        let answer = answer.ok_or_else(nothing)?.map_err(|e| self.redis.error(what(), e))?;
        self.allowed(answer, what).map(drop)
    }

    /// The answer of a script, unless it says that the lease is not ours.
    fn allowed(
        &self,
        answer: Value,
        what: impl Fn() -> String,
    ) -> Result<Vec<Vec<u8>>, MediaError> {
        let answer: Vec<Vec<u8>> = redis::from_redis_value(answer)
            .map_err(|e| MediaError::from(self.redis.corrupt(what(), &e)))?;
        match answer.first().map(Vec::as_slice) {
            Some(b"lost") => Err(MediaError::LeaseLost),
            Some(b"fenced") => {
                let run = text(&answer, 2).parse().map(Run);
                let run = run.map_err(|e| self.redis.corrupt(what(), &e))?;
                let (broadcast, token) = (text(&answer, 1), text(&answer, 3).parse().ok());
                Err(MediaError::Fenced { by: Holder { broadcast, run, token } })
            }
            Some(_) => Ok(answer),
            None => Err(self.redis.corrupt(what(), &"an empty answer").into()),
        }
    }
}

fn text(answer: &[Vec<u8>], index: usize) -> String {
    answer.get(index).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}
