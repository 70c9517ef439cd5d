//! The one writer of a broadcast.
//!
//! Every write is one script that first checks the lease: who was overtaken by
//! a higher run writes nothing more. Ids of entries are explicit, so a write
//! may be repeated after a time-out.

mod scripts;

use bytes::Bytes;
use millrace_media::id::{Msn, RenditionName, Run, StreamId};
use millrace_media::published::{BroadcastInfo, Entry, InitHash, PartInfo, SegmentInfo};

use super::{EntryId, Lease, MediaError, MediaReader};
use crate::config::Installation;
use crate::names::redis_keys::MediaKeys;
use crate::redis::Redis;
use scripts::{APPEND, Before, CLAIM, PUBLISH};

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
        let what = || format!("claim {}", self.keys.stream());
        self.run(&CLAIM, self.claim_command(), what).await
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
            commands.push(self.publish_command(rendition, write, (id, &json), &before));
            before = Before { id: Some(id), exactly: json };
            ids.push(id);
        }
        let answers = self.redis.scripts(&PUBLISH, commands, what).await?;
        Ok(answers.into_iter().zip(ids).map(|(answer, id)| self.outcome(answer, id)).collect())
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
}
