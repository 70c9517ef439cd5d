//! What is published, and publishing more.

use std::cmp::Ordering;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, RenditionName};
use millrace_media::index::{Chunk, ChunkRef, Head};
use millrace_media::published::{BroadcastInfo, Entry, InitHash, PartInfo, SegmentInfo};
use millrace_platform::names::objects::{BroadcastObjects, run_of};
use millrace_platform::redis::media::{EntryId, Holder, MediaError, MediaWriter, Outcome, Write};
use millrace_platform::report::report;

use super::{Blind, Place, PublishError, Published, Services};
use crate::publish::redis::RedisOp;
use crate::publish::store::StoreOp;

/// What can be published together with others.
fn write(op: &RedisOp, window_start: Msn) -> Option<Write<'_>> {
    match op {
        RedisOp::Part { info, bytes } => Some(Write::Part(info, bytes)),
        RedisOp::Segment { info, parts, bytes: Some(bytes) } => {
            let parts = parts.iter().map(|part| (part.part, part.run)).collect();
            Some(Write::Segment { info, bytes, parts, window_start })
        }
        RedisOp::Init { .. } | RedisOp::Segment { bytes: None, .. } => None,
    }
}

impl Services {
    pub(super) fn writer(&self, broadcast: BroadcastId) -> Result<MediaWriter, PublishError> {
        self.runs.writer(broadcast).ok_or(PublishError::NoRun)
    }

    pub(super) fn objects(&self, broadcast: BroadcastId) -> BroadcastObjects {
        BroadcastObjects::new(&self.config.stream, broadcast)
    }

    /// What is published of a broadcast: the index of the highest run, and what
    /// Redis has. One of them may be away, or Redis may have lost everything.
    ///
    /// A broadcast of which nobody who is there knows anything has just begun,
    /// unless the checkpoint says otherwise.
    ///
    /// # Errors
    /// When what those say who are there is not enough to go on safely.
    pub async fn published(&self, broadcast: BroadcastId) -> Result<Published, PublishError> {
        let (head, unread) = match self.soon("read the index", self.head(broadcast)).await {
            Ok(head) => (head, None),
            Err(error @ PublishError::Corrupt { .. }) => return Err(error),
            // As it was written last is the best there is.
            Err(error) => (self.runs.kept(broadcast), Some(error)),
        };
        let index = unread.is_some();
        if head.is_some() && index {
            tracing::warn!("going on from the index as it was written last");
        }
        let unknown = unread.filter(|_| head.is_none());
        let stream = &self.config.stream;
        let described = match self.reader.get_broadcast(stream).await {
            Ok(info) => info.filter(|info| info.broadcast == broadcast),
            Err(error) if unknown.is_none() && error.is_transient() => {
                tracing::warn!(error = report(&error), "going on from the index alone");
                let info = head.as_ref().map(|h| h.info.clone());
                let blind = Blind { redis: true, index };
                return Ok(Published { info, head, blind, ..Published::default() });
            }
            Err(error) => return Err(error.into()),
        };
        let blind = Blind { redis: false, index };
        if let Some(error) = unknown {
            if described.is_none() && self.runs.is_checkpointed(broadcast) {
                return Err(error);
            }
            tracing::warn!(error = report(&error), "going on from what Redis has alone");
        }
        let info = described.or_else(|| head.as_ref().map(|h| h.info.clone()));
        let mut published = Published { info, head, blind, ..Published::default() };
        let names: Vec<_> =
            published.info.iter().flat_map(|i| &i.renditions).map(|r| r.name.clone()).collect();
        for name in names {
            let entries = self.reader.entries(stream, broadcast, &name, EntryId::START).await?;
            published.entries.insert(name, entries);
        }
        Ok(published)
    }

    /// The index of the highest run, if the store has one.
    pub async fn head(&self, broadcast: BroadcastId) -> Result<Option<Head>, PublishError> {
        let paths = self.store.list(&self.objects(broadcast).index()).await?;
        let newest = paths.iter().filter(|p| p.contains("/head-")).max_by_key(|p| run_of(p));
        let Some(path) = newest else { return Ok(None) };
        let Some(bytes) = self.store.get(path).await? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| PublishError::Corrupt { what: path.clone(), source })
    }

    /// The bytes of a part that is published.
    pub async fn part(
        &self,
        place: &Place,
        part: &PartInfo,
    ) -> Result<Option<Bytes>, PublishError> {
        let name = (part.msn, part.part, part.run);
        let stream = &self.config.stream;
        Ok(self.reader.get_part(stream, place.broadcast, &place.rendition, name).await?)
    }

    /// The bytes of a segment, if Redis has them.
    pub async fn segment_in_redis(
        &self,
        place: &Place,
        segment: &SegmentInfo,
    ) -> Result<Option<Bytes>, PublishError> {
        let name = (segment.msn, segment.run);
        let stream = &self.config.stream;
        Ok(self.reader.get_segment(stream, place.broadcast, &place.rendition, name).await?)
    }

    /// The bytes of an init segment, if Redis has them.
    pub async fn init_in_redis(
        &self,
        place: &Place,
        hash: &InitHash,
    ) -> Result<Option<Bytes>, PublishError> {
        Ok(self.reader.get_init(&self.config.stream, place.broadcast, hash).await?)
    }

    /// The bytes of a segment, if the object store has them.
    pub async fn segment_in_store(
        &self,
        place: &Place,
        segment: &SegmentInfo,
    ) -> Result<Option<Bytes>, PublishError> {
        let path =
            self.objects(place.broadcast).segment(&place.rendition, segment.msn, segment.run);
        Ok(self.store.get(&path).await?)
    }

    /// Publishes the broadcast's description.
    pub async fn put_broadcast(&self, info: &BroadcastInfo) -> Result<(), PublishError> {
        let put = self.writer(info.broadcast)?.put_broadcast(info).await;
        self.heard(info.broadcast, put)
    }

    /// Lists entries again that Redis has lost.
    pub async fn restore(&self, place: &Place, entries: &[Entry]) -> Result<(), PublishError> {
        let entries: Vec<_> =
            entries.iter().map(|e| (place.rendition.clone(), e.clone())).collect();
        let restored = self.writer(place.broadcast)?.restore(&entries).await;
        self.heard(place.broadcast, restored)
    }

    /// Ends the broadcast in Redis: one past each rendition's last segment.
    pub async fn publish_end(
        &self,
        info: &BroadcastInfo,
        ends: &[(RenditionName, Msn)],
    ) -> Result<(), PublishError> {
        let put = self.writer(info.broadcast)?.publish_end(info, ends).await;
        self.heard(info.broadcast, put)
    }

    /// Publishes the first of these to Redis, and in the same round trip as many
    /// as may go with it, where `last` was published before; for each that was
    /// tried the entry that was there already in its place, and stays. With a
    /// segment, entries before `first` leave the playlist.
    pub async fn publish(
        &self,
        place: &Place,
        ops: &[RedisOp],
        last: Option<EntryId>,
        first: Msn,
    ) -> Result<Vec<Result<Option<Entry>, PublishError>>, PublishError> {
        let writer = self.writer(place.broadcast)?.after(last);
        let name = &place.rendition;
        let alone = match ops.first() {
            None => return Ok(Vec::new()),
            Some(RedisOp::Init { hash, bytes }) => Some(writer.put_init(hash, bytes).await),
            Some(RedisOp::Segment { info, bytes: None, .. }) => {
                Some(writer.restore(&[(name.clone(), Entry::Segment(info.clone()))]).await)
            }
            Some(RedisOp::Part { .. } | RedisOp::Segment { .. }) => None,
        };
        let outcomes = if let Some(written) = alone {
            vec![written.map(|()| Outcome::New)]
        } else {
            let together: Vec<_> = ops.iter().map_while(|op| write(op, first)).collect();
            let outcomes = writer.publish_all(name, &together).await;
            outcomes.unwrap_or_else(|error| vec![Err(error)])
        };
        let tried = outcomes.into_iter().zip(ops).map_while(|(outcome, op)| {
            let tried = !matches!(outcome, Ok(Outcome::NotTried));
            tried.then(|| self.told(place, op, outcome))
        });
        Ok(tried.collect())
    }

    fn told(
        &self,
        place: &Place,
        op: &RedisOp,
        outcome: Result<Outcome, MediaError>,
    ) -> Result<Option<Entry>, PublishError> {
        let name = &place.rendition;
        if outcome.is_ok() {
            match op {
                RedisOp::Part { .. } => self.metrics.part(name),
                RedisOp::Segment { .. } => self.metrics.segment(),
                RedisOp::Init { .. } => {}
            }
        }
        match self.heard(place.broadcast, outcome) {
            Ok(Outcome::New | Outcome::Repeated | Outcome::NotTried) => Ok(None),
            Ok(Outcome::Kept(there)) => {
                tracing::warn!(rendition = %name, ?there, "an entry was there already and stays");
                Ok(Some(there))
            }
            // A later entry is there: this one can no longer be told.
            Err(PublishError::Media(MediaError::OutOfOrder { entry, last })) => {
                tracing::warn!(rendition = %name, %entry, last, "an entry came too late");
                Ok(None)
            }
            Err(error) => {
                self.metrics.publish_failed();
                Err(error)
            }
        }
    }

    /// What Redis said to the writer of a broadcast: every answer, and every one
    /// that did not come, is noted here.
    pub(super) fn heard<T>(
        &self,
        broadcast: BroadcastId,
        outcome: Result<T, MediaError>,
    ) -> Result<T, PublishError> {
        match &outcome {
            Err(MediaError::Redis(error)) => self.redis_check.failing(report(error)),
            _ => self.redis_check.ok(),
        }
        outcome.map_err(|error| match error {
            MediaError::LeaseLost => PublishError::LeaseLost,
            MediaError::Fenced { by } => self.refused(broadcast, &by),
            error => PublishError::Media(error),
        })
    }

    /// What it means that another run holds the lease.
    fn refused(&self, broadcast: BroadcastId, by: &Holder) -> PublishError {
        let ours = by.token.is_some_and(|token| token == self.token);
        let run = self.writer(broadcast).map(|writer| writer.lease().run);
        match by.broadcast.cmp(&broadcast.to_string()) {
            Ordering::Less => PublishError::LeaseLost,
            // Redis was away when this run was claimed, or this was sent under
            // our last run while we claimed this one.
            Ordering::Equal if ours || run.is_ok_and(|run| by.run < run) => PublishError::LeaseLost,
            // Who had the lease itself and finds another process beyond it was
            // replaced. One that has only just begun comes upon the work of the
            // one before; and of two, either may have had the lease of an earlier one.
            Ordering::Greater
                if ours
                    || by.token.is_none()
                    || self.config.redundancy > 1
                    || !self.runs.has_held() =>
            {
                PublishError::Superseded { broadcast }
            }
            Ordering::Equal | Ordering::Greater => PublishError::Fenced { broadcast },
        }
    }

    /// Every answer of the store is noted here, and every one that did not come.
    pub(super) fn note_store<T>(&self, outcome: &Result<T, PublishError>) {
        match outcome {
            Ok(_) => self.store_check.ok(),
            Err(error) => {
                self.metrics.store_failed();
                self.store_check.failing(match error {
                    PublishError::Store(error) => error.brief(),
                    error => error.to_string(),
                });
            }
        }
    }

    /// Puts one thing into the object store.
    pub async fn store(&self, place: &Place, op: &StoreOp) -> Result<(), PublishError> {
        let objects = self.objects(place.broadcast);
        let (path, bytes) = match op {
            StoreOp::Init { hash, bytes } => (objects.init(hash), bytes.clone()),
            StoreOp::Segment { bytes: None, .. } => return Ok(()),
            StoreOp::Segment { info, bytes: Some(bytes) } => {
                (objects.segment(&place.rendition, info.msn, info.run), bytes.clone())
            }
        };
        // Names carry the run or the content: what is there already is ours.
        let stored = self.store.create(&path, bytes).await.map(drop).map_err(PublishError::from);
        self.note_store(&stored);
        if stored.is_ok() && matches!(op, StoreOp::Segment { .. }) {
            self.metrics.stored();
        }
        stored
    }

    /// Writes the index's head; false if the store did not take it.
    pub async fn put_head(&self, head: &Head) -> bool {
        self.runs.keep(head);
        let path = self.objects(head.info.broadcast).head(head.run);
        self.put_json(&path, head).await
    }

    /// Writes an immutable piece of the index; false if the store did not take it.
    pub async fn put_chunk(&self, info: &BroadcastInfo, place: &ChunkRef, chunk: &Chunk) -> bool {
        let path = self.objects(info.broadcast).chunk(place.first, place.run);
        self.put_json(&path, chunk).await
    }

    async fn put_json<T: serde::Serialize>(&self, path: &str, value: &T) -> bool {
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        let put = self.store.put(path, bytes.into()).await.map_err(PublishError::from);
        self.note_store(&put);
        if let Err(error) = &put {
            tracing::warn!(path, error = report(error), "the index was not written");
        }
        put.is_ok()
    }
}
