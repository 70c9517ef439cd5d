//! The one writer of a broadcast.
//!
//! Every write is one script that first checks the lease: who was overtaken by
//! a higher run writes nothing more. Ids of entries are explicit, so a write
//! may be repeated after a time-out.

use std::sync::LazyLock;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::{BroadcastInfo, Entry, InitHash, PartInfo, SegmentInfo};
use redis::Script;
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
    /// Nobody holds a lease: Redis has lost its data, or it was never claimed.
    /// Claim it, restore the window, then write on.
    #[error("the writer's lease is gone from Redis")]
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
}

/// The write side of one broadcast. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaWriter {
    redis: Redis,
    keys: MediaKeys,
    lease: Lease,
    installation: Installation,
}

impl MediaWriter {
    /// A writer with this lease, not claimed yet. Asks no server.
    pub fn new(redis: Redis, installation: &Installation, stream: &StreamId, lease: Lease) -> Self {
        let keys = MediaKeys::new(installation, stream);
        Self { redis, keys, lease, installation: installation.clone() }
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
    /// process, or a later broadcast holds it.
    pub async fn claim(&self) -> Result<(), MediaError> {
        let mut call = CLAIM.key(self.keys.writer());
        self.lease_args(&mut call);
        call.arg(LONG_LIFE);
        self.run(&call, || format!("claim {}", self.keys.stream())).await.map(drop)
    }

    /// Writes the description of the broadcast.
    pub async fn put_broadcast(&self, info: &BroadcastInfo) -> Result<(), MediaError> {
        self.append(Some(info), false, &[]).await
    }

    /// Writes an init segment. Named by its content, it needs no lease.
    pub async fn put_init(&self, hash: &InitHash, bytes: &Bytes) -> Result<(), MediaError> {
        let mut set = redis::cmd("SET");
        set.arg(self.keys.init(self.lease.broadcast, hash))
            .arg(bytes.as_ref())
            .arg("EX")
            .arg(LONG_LIFE);
        Ok(self.redis.query(&set, || format!("store init segment {}", hash.as_str())).await?)
    }

    /// Publishes a part, in one round trip.
    pub async fn publish_part(
        &self,
        rendition: &RenditionName,
        part: &PartInfo,
        bytes: &Bytes,
    ) -> Result<Outcome, MediaError> {
        let name = (part.msn, part.part, part.run);
        let key = self.keys.part(self.lease.broadcast, rendition, name);
        self.publish(rendition, &Entry::Part(part.clone()), (key, bytes), &[], None).await
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
        let broadcast = self.lease.broadcast;
        let key = self.keys.segment(broadcast, rendition, (segment.msn, segment.run));
        let replaced: Vec<_> = parts
            .iter()
            .map(|(part, run)| self.keys.part(broadcast, rendition, (segment.msn, *part, *run)))
            .collect();
        let entry = Entry::Segment(segment.clone());
        self.publish(rendition, &entry, (key, bytes), &replaced, Some(window_start)).await
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

    async fn publish(
        &self,
        rendition: &RenditionName,
        entry: &Entry,
        (key, bytes): (String, &Bytes),
        replaced: &[String],
        window_start: Option<Msn>,
    ) -> Result<Outcome, MediaError> {
        let id = EntryId::of(entry);
        let what = || format!("publish {id} of {} {rendition}", self.keys.stream());
        let mut call = PUBLISH.key(self.keys.writer());
        call.key(self.keys.playlist(self.lease.broadcast, rendition)).key(key);
        for key in replaced {
            call.key(key);
        }
        self.lease_args(&mut call);
        call.arg(id.to_string()).arg(self.redis.to_json(entry, what)?).arg(bytes.as_ref());
        call.arg(MEDIA_LIFE).arg(LONG_LIFE).arg(REPLACED_LIFE);
        call.arg(window_start.map(|msn| format!("{msn}-0")).unwrap_or_default());
        let answer = self.run(&call, what).await?;
        match answer.first().map(Vec::as_slice) {
            Some(b"ok") => Ok(Outcome::New),
            Some(b"same") => Ok(Outcome::Repeated),
            Some(b"kept") => {
                let there = answer.get(1).map(Vec::as_slice).unwrap_or_default();
                let there = serde_json::from_slice(there);
                Ok(Outcome::Kept(there.map_err(|e| self.redis.corrupt(what(), &e))?))
            }
            _ => Err(MediaError::OutOfOrder { entry: id, last: text(&answer, 1) }),
        }
    }

    async fn append(
        &self,
        info: Option<&BroadcastInfo>,
        ended: bool,
        entries: &[(RenditionName, Entry)],
    ) -> Result<(), MediaError> {
        let what = || format!("write the description and entries of {}", self.keys.stream());
        let mut renditions: Vec<&RenditionName> = entries.iter().map(|(name, _)| name).collect();
        renditions.sort();
        renditions.dedup();
        let mut call = APPEND.key(self.keys.writer());
        call.key(self.keys.broadcast());
        for rendition in &renditions {
            call.key(self.keys.playlist(self.lease.broadcast, rendition));
        }
        self.lease_args(&mut call);
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
        self.run(&call, what).await.map(drop)
    }

    fn lease_args(&self, call: &mut redis::ScriptInvocation<'_>) {
        let Lease { broadcast, run, token } = self.lease;
        call.arg(broadcast.to_string()).arg(run.0).arg(token.to_string());
    }

    /// Runs a script: by its hash, and in full where the server lacks it.
    async fn run(
        &self,
        call: &redis::ScriptInvocation<'_>,
        what: impl Fn() -> String,
    ) -> Result<Vec<Vec<u8>>, MediaError> {
        let answer: Vec<Vec<u8>> = self.redis.script(call, &what).await?;
        match answer.first().map(Vec::as_slice) {
            Some(b"lost") => Err(MediaError::LeaseLost),
            Some(b"fenced") => {
                let run = text(&answer, 2).parse().map(Run);
                let run = run.map_err(|e| self.redis.corrupt(what(), &e))?;
                Err(MediaError::Fenced { by: Holder { broadcast: text(&answer, 1), run } })
            }
            Some(_) => Ok(answer),
            None => Err(self.redis.corrupt(what(), &"an empty answer").into()),
        }
    }
}

fn text(answer: &[Vec<u8>], index: usize) -> String {
    answer.get(index).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}
