//! The one writer of a broadcast.
//!
//! Every write is one script that first checks the lease: who was overtaken by
//! a higher run writes nothing more. Ids of entries are explicit, so a write
//! may be repeated after a time-out.

use std::sync::LazyLock;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::{BroadcastInfo, Entry, InitHash, PartInfo, SegmentInfo};
use redis::{Cmd, Script, Value};
use uuid::Uuid;

use super::{EntryId, MediaReader};
use crate::config::Installation;
use crate::names::redis_keys::MediaKeys;
use crate::redis::{Redis, RedisError};

/// Life of parts and segments, seconds.
const MEDIA_LIFE: u32 = 600;
/// Life of a part whose segment is complete, seconds.
const REPLACED_LIFE: u32 = 60;
/// Life of descriptions, playlists, init segments and the lease, seconds.
const LONG_LIFE: u32 = 24 * 60 * 60;

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));
static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("publish.lua")));
static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("append.lua")));

/// Who writes: a run of a broadcast, and the process that has claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The run claimed in the object store.
    pub run: Run,
    /// A nonce of the process.
    pub token: Uuid,
}

/// Who holds the lease now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The broadcast.
    pub broadcast: String,
    /// The run.
    pub run: Run,
    /// The process that has claimed it; none if only the broadcast's description
    /// is there.
    pub token: Option<Uuid>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Another writer has taken over: stop.
    #[error("overtaken by run {} of broadcast {}", by.run, by.broadcast)]
    Fenced {
        /// The writer that holds the lease.
        by: Holder,
    },
    /// Nobody holds a lease, or what was published before is not there: Redis
    /// has lost its data, or it was never claimed. Claim it, restore the window,
    /// then write on.
    #[error("the writer's lease, or what it published before, is gone from Redis")]
    LeaseLost,
    /// The entry would come before the last one.
    #[error("entry {entry} is not after {last}, the last one")]
    OutOfOrder {
        /// The entry refused.
        entry: EntryId,
        /// The last one there.
        last: String,
    },
    /// Redis did not do it.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// How a write went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Written.
    New,
    /// The same entry was there already: a repeated write.
    Repeated,
    /// Another entry has this id and stays; nothing was written.
    Kept(Entry),
    /// The one before it, given with it, is not there as it was given; nothing
    /// was written.
    NotTried,
}

/// One thing to publish of a rendition.
#[derive(Debug)]
pub enum Write<'a> {
    /// A part.
    Part(&'a PartInfo, &'a Bytes),
    /// A complete segment.
    Segment {
        /// Its description.
        info: &'a SegmentInfo,
        /// The whole; it lets its `parts` (number and run of each) expire in a
        /// minute.
        bytes: &'a Bytes,
        /// See there.
        parts: Vec<(u32, Run)>,
        /// The first segment of the DVR window, to which the playlist log is
        /// trimmed.
        window_start: Msn,
    },
}

impl Write<'_> {
    /// What stands in the playlist when it is written.
    fn entry(&self) -> Entry {
        match *self {
            Self::Part(info, _) => Entry::Part(info.clone()),
            Self::Segment { info, .. } => Entry::Segment(info.clone()),
        }
    }
}

/// What must be in the playlist for the next entry to be written.
#[derive(Debug, Default)]
struct Before {
    /// This entry, or a later one.
    id: Option<EntryId>,
    /// If not empty, this is it to the byte.
    exactly: Vec<u8>,
}

/// The write side of one broadcast. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaWriter {
    redis: Redis,
    keys: MediaKeys,
    lease: Lease,
    installation: Installation,
    after: Option<EntryId>,
}

impl MediaWriter {
    /// A writer with this lease, not claimed yet. Asks no server.
    pub fn new(redis: Redis, installation: &Installation, stream: &StreamId, lease: Lease) -> Self {
        let keys = MediaKeys::new(installation, stream);
        Self { redis, keys, lease, installation: installation.clone(), after: None }
    }

    /// What it publishes follows this entry of its rendition:
    /// [`MediaError::LeaseLost`] where that is gone, with or without the lease.
    #[must_use]
    pub fn after(self, entry: Option<EntryId>) -> Self {
        Self { after: entry, ..self }
    }

    /// The lease it writes with.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// A reader of the same stream, to see what is published.
    pub fn reader(&self) -> MediaReader {
        MediaReader::new(self.redis.clone(), self.installation.clone())
    }

    /// Takes the lease: from nobody, from a lower run, from an ended or earlier
    /// broadcast, or again from itself.
    ///
    /// # Errors
    /// [`MediaError::Fenced`] when a higher run, the same run of another
    /// process, or a later broadcast holds it, or Redis has lost it and describes
    /// a later broadcast.
    pub async fn claim(&self) -> Result<(), MediaError> {
        let mut call = self.call(&CLAIM, &[self.keys.writer(), self.keys.broadcast()]);
        call.arg(LONG_LIFE);
        self.run(&CLAIM, call, || format!("claim {}", self.keys.stream())).await
    }

    /// Writes the description of the broadcast.
    pub async fn put_broadcast(&self, info: &BroadcastInfo) -> Result<(), MediaError> {
        self.append(Some(info), false, &[]).await
    }

    /// Writes an init segment. Named by its content, it needs no lease.
    pub async fn put_init(&self, hash: &InitHash, bytes: &Bytes) -> Result<(), MediaError> {
        let what = || format!("store init segment {}", hash.as_str());
        Ok(self.redis.query(&self.set_init(hash, bytes), what).await?)
    }

    /// Publishes a part, in one round trip.
    pub async fn publish_part(
        &self,
        rendition: &RenditionName,
        part: &PartInfo,
        bytes: &Bytes,
    ) -> Result<Outcome, MediaError> {
        self.publish(rendition, Write::Part(part, bytes)).await
    }

    /// Publishes a complete segment in one round trip: stores the whole, lets
    /// its `parts` (number and run of each) expire in a minute, and trims the
    /// playlist log to `window_start`, the first segment of the DVR window.
    pub async fn publish_segment(
        &self,
        rendition: &RenditionName,
        segment: &SegmentInfo,
        bytes: &Bytes,
        parts: &[(u32, Run)],
        window_start: Msn,
    ) -> Result<Outcome, MediaError> {
        let write = Write::Segment { info: segment, bytes, parts: parts.to_vec(), window_start };
        self.publish(rendition, write).await
    }

    async fn publish(
        &self,
        rendition: &RenditionName,
        write: Write<'_>,
    ) -> Result<Outcome, MediaError> {
        let mut outcomes = self.publish_all(rendition, &[write]).await?;
        let nothing = || self.redis.corrupt(format!("publish {rendition}"), &"no answer").into();
        outcomes.pop().unwrap_or_else(|| Err(nothing()))
    }

    /// Publishes several things of one rendition, in this order and in one round
    /// trip. What came of each, in the same order: each but the first is written
    /// only where the one before it stands as it was given here, else it is
    /// [`Outcome::NotTried`]. So none takes the place of one that failed, and
    /// none follows what somebody else wrote.
    ///
    /// # Errors
    /// When nobody knows what came of them: they may be published again.
    pub async fn publish_all(
        &self,
        rendition: &RenditionName,
        writes: &[Write<'_>],
    ) -> Result<Vec<Result<Outcome, MediaError>>, MediaError> {
        let what = || format!("publish {rendition} of {}", self.keys.stream());
        let mut before = Before { id: self.after, ..Before::default() };
        let (mut commands, mut ids) = (Vec::new(), Vec::new());
        for write in writes {
            let entry = write.entry();
            let (id, json) = (EntryId::of(&entry), self.redis.to_json(&entry, what)?);
            commands.push(self.command(rendition, write, (id, &json), &before));
            before = Before { id: Some(id), exactly: json };
            ids.push(id);
        }
        let answers = self.redis.scripts(&PUBLISH, commands, what).await?;
        Ok(answers.into_iter().zip(ids).map(|(answer, id)| self.outcome(answer, id)).collect())
    }

    fn command(
        &self,
        rendition: &RenditionName,
        write: &Write<'_>,
        (id, entry): (EntryId, &[u8]),
        before: &Before,
    ) -> Cmd {
        let broadcast = self.lease.broadcast;
        let (key, bytes, replaced, window_start) = match write {
            Write::Part(part, bytes) => {
                let name = (part.msn, part.part, part.run);
                (self.keys.part(broadcast, rendition, name), bytes, Vec::new(), None)
            }
            Write::Segment { info, bytes, parts, window_start } => {
                let part = |(part, run): &(u32, Run)| {
                    self.keys.part(broadcast, rendition, (info.msn, *part, *run))
                };
                let key = self.keys.segment(broadcast, rendition, (info.msn, info.run));
                (key, bytes, parts.iter().map(part).collect(), Some(*window_start))
            }
        };
        let bytes: &[u8] = bytes;
        let playlist = self.keys.playlist(broadcast, rendition);
        let keys = [&[self.keys.writer(), playlist, key][..], &replaced].concat();
        let mut call = self.call(&PUBLISH, &keys);
        call.arg(id.to_string()).arg(entry).arg(bytes);
        call.arg(MEDIA_LIFE).arg(LONG_LIFE).arg(REPLACED_LIFE);
        call.arg(window_start.map(|msn| format!("{msn}-0")).unwrap_or_default());
        call.arg(before.id.map(|entry| entry.to_string()).unwrap_or_default());
        call.arg(before.exactly.as_slice());
        call
    }

    fn set_init(&self, hash: &InitHash, bytes: &Bytes) -> Cmd {
        let mut set = redis::cmd("SET");
        let key = self.keys.init(self.lease.broadcast, hash);
        set.arg(key).arg(bytes.as_ref()).arg("EX").arg(LONG_LIFE);
        set
    }

    /// What an answer to one of them says.
    fn outcome(
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

    /// Appends entries whose bytes are not here (a window that Redis has lost,
    /// or that another run has put into the object store), in one round trip.
    /// Entries at or before the last one of their rendition are skipped.
    pub async fn restore(&self, entries: &[(RenditionName, Entry)]) -> Result<(), MediaError> {
        // A long window goes in pieces, so that the server is never busy long.
        for some in entries.chunks(500) {
            self.append(None, false, some).await?;
        }
        Ok(())
    }

    /// Ends the broadcast: an end after the last segment of each rendition
    /// (`msn` one past it), the description with `ended`, and the lease free
    /// for whatever broadcast comes next.
    pub async fn publish_end(
        &self,
        info: &BroadcastInfo,
        ends: &[(RenditionName, Msn)],
    ) -> Result<(), MediaError> {
        let entries: Vec<_> =
            ends.iter().map(|(name, msn)| (name.clone(), Entry::End { msn: *msn })).collect();
        let info = BroadcastInfo { ended: true, ..info.clone() };
        self.append(Some(&info), true, &entries).await
    }

    async fn append(
        &self,
        info: Option<&BroadcastInfo>,
        ended: bool,
        entries: &[(RenditionName, Entry)],
    ) -> Result<(), MediaError> {
        let what = || format!("write the description and entries of {}", self.keys.stream());
        self.run(&APPEND, self.append_command(info, ended, entries)?, what).await
    }

    fn append_command(
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
    async fn run(
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
