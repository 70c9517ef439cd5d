//! What is published, and publishing more.

use millrace_platform::report::report;
use std::sync::PoisonError;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run};
use millrace_media::index::{Chunk, ChunkRef, Head};
use millrace_media::published::{BroadcastInfo, Entry, PartInfo, SegmentInfo};
use millrace_platform::names::objects::{BroadcastObjects, run_of};
use millrace_platform::redis::media::{EntryId, Lease, MediaError, MediaWriter, Outcome};
use millrace_platform::store::Created;

use super::{Place, PublishError, Published, Services};
use crate::publish::redis::RedisOp;
use crate::publish::store::StoreOp;

impl Services {
    fn objects(&self, broadcast: BroadcastId) -> BroadcastObjects {
        BroadcastObjects::new(&self.config.stream, broadcast)
    }

    /// What is published of a broadcast: the index of the highest run, and what
    /// Redis has. A Redis that is away or has lost everything leaves the index.
    pub async fn published(&self, broadcast: BroadcastId) -> Result<Published, PublishError> {
        let head = self.head(broadcast).await?;
        let stream = &self.config.stream;
        let described = match self.reader.get_broadcast(stream).await {
            Ok(info) => info.filter(|info| info.broadcast == broadcast),
            Err(error) if head.is_some() && error.is_transient() => {
                tracing::warn!(error = report(&error), "going on from the index alone");
                return Ok(Published {
                    info: head.as_ref().map(|h| h.info.clone()),
                    head,
                    ..Published::default()
                });
            }
            Err(error) => return Err(error.into()),
        };
        let info = described.or_else(|| head.as_ref().map(|h| h.info.clone()));
        let mut published = Published { info, head, ..Published::default() };
        let names: Vec<_> =
            published.info.iter().flat_map(|i| &i.renditions).map(|r| r.name.clone()).collect();
        for name in names {
            let entries = self.reader.entries(stream, broadcast, &name, EntryId::START).await?;
            published.entries.insert(name, entries);
        }
        Ok(published)
    }

    async fn head(&self, broadcast: BroadcastId) -> Result<Option<Head>, PublishError> {
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

    /// The bytes of a segment that is published.
    pub async fn segment(
        &self,
        place: &Place,
        segment: &SegmentInfo,
    ) -> Result<Option<Bytes>, PublishError> {
        let name = (segment.msn, segment.run);
        let stream = &self.config.stream;
        if let Some(bytes) =
            self.reader.get_segment(stream, place.broadcast, &place.rendition, name).await?
        {
            return Ok(Some(bytes));
        }
        let path =
            self.objects(place.broadcast).segment(&place.rendition, segment.msn, segment.run);
        Ok(self.store.get(&path).await?)
    }

    /// Claims the next run: in the object store, which decides, then in Redis,
    /// which may be away.
    pub async fn claim_run(&self, broadcast: BroadcastId) -> Result<Run, PublishError> {
        let objects = self.objects(broadcast);
        let claims = self.store.list(&objects.runs()).await?;
        let mut run =
            claims.iter().filter_map(|path| run_of(path)).max().unwrap_or_default().next();
        let token = Bytes::from(self.token.to_string());
        while self.store.create(&objects.run(run), token.clone()).await? == Created::AlreadyThere {
            run = run.next();
        }
        let lease = Lease { broadcast, run, token: self.token };
        let config = &self.config;
        let writer =
            MediaWriter::new(self.redis.clone(), &config.installation, &config.stream, lease);
        *self.writer.write().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
        match writer.claim().await {
            Err(MediaError::Fenced { .. }) => Err(PublishError::Fenced { broadcast }),
            Err(error) => {
                tracing::warn!(%run, error = report(&error), "the run is not claimed in Redis yet");
                Ok(run)
            }
            Ok(()) => Ok(run),
        }
    }

    fn writer(&self, broadcast: BroadcastId) -> Result<MediaWriter, PublishError> {
        let writer = self.writer.read().unwrap_or_else(PoisonError::into_inner).clone();
        writer.filter(|w| w.lease().broadcast == broadcast).ok_or(PublishError::NoRun)
    }

    /// Takes the lease again after Redis has lost it.
    pub async fn reclaim(&self, broadcast: BroadcastId) -> Result<(), PublishError> {
        let writer = self.writer(broadcast)?;
        writer.claim().await.map_err(|error| self.publish_error(broadcast, error))
    }

    /// Publishes the broadcast's description.
    pub async fn put_broadcast(&self, info: &BroadcastInfo) -> Result<(), PublishError> {
        let put = self.writer(info.broadcast)?.put_broadcast(info).await;
        put.map_err(|error| self.publish_error(info.broadcast, error))
    }

    /// Lists entries again that Redis has lost.
    pub async fn restore(&self, place: &Place, entries: &[Entry]) -> Result<(), PublishError> {
        let entries: Vec<_> =
            entries.iter().map(|e| (place.rendition.clone(), e.clone())).collect();
        let restored = self.writer(place.broadcast)?.restore(&entries).await;
        restored.map_err(|error| self.publish_error(place.broadcast, error))
    }

    /// Ends the broadcast in Redis: one past each rendition's last segment.
    pub async fn publish_end(
        &self,
        info: &BroadcastInfo,
        ends: &[(RenditionName, Msn)],
    ) -> Result<(), PublishError> {
        let put = self.writer(info.broadcast)?.publish_end(info, ends).await;
        put.map_err(|error| self.publish_error(info.broadcast, error))
    }

    /// Publishes one thing to Redis.
    pub async fn publish(&self, place: &Place, op: &RedisOp) -> Result<(), PublishError> {
        let writer = self.writer(place.broadcast)?;
        let name = &place.rendition;
        let outcome = match op {
            RedisOp::Init { hash, bytes } => {
                writer.put_init(hash, bytes).await.map(|()| Outcome::New)
            }
            RedisOp::Part { info, bytes } => {
                let published = writer.publish_part(name, info, bytes).await;
                if published.is_ok() {
                    self.metrics.part();
                }
                published
            }
            RedisOp::Segment { info, bytes: None, .. } => {
                let entry = (name.clone(), Entry::Segment(info.clone()));
                writer.restore(&[entry]).await.map(|()| Outcome::New)
            }
            RedisOp::Segment { info, parts, bytes: Some(bytes) } => {
                let parts: Vec<_> = parts.iter().map(|p| (p.part, p.run)).collect();
                let first = self.window_start(info.msn);
                self.metrics.segment();
                writer.publish_segment(name, info, bytes, &parts, first).await
            }
        };
        match outcome {
            Ok(Outcome::New | Outcome::Repeated) => Ok(()),
            Ok(Outcome::Kept(there)) => {
                tracing::warn!(rendition = %name, ?there, "an entry was there already and stays");
                Ok(())
            }
            // A later entry is there: this one can no longer be told.
            Err(MediaError::OutOfOrder { entry, last }) => {
                tracing::warn!(rendition = %name, %entry, last, "an entry came too late");
                Ok(())
            }
            Err(error) => {
                self.metrics.publish_failed();
                Err(self.publish_error(place.broadcast, error))
            }
        }
    }

    fn publish_error(&self, broadcast: BroadcastId, error: MediaError) -> PublishError {
        let ours = self.writer(broadcast).map(|w| w.lease().run);
        match error {
            MediaError::LeaseLost => PublishError::LeaseLost,
            MediaError::Fenced { by } if by.broadcast == broadcast.to_string() => match ours {
                // Redis was away when this run was claimed, or this was sent
                // under our last run while we claimed this one.
                Ok(run) if by.run <= run => PublishError::LeaseLost,
                _ => PublishError::Fenced { broadcast },
            },
            MediaError::Fenced { by } if by.broadcast < broadcast.to_string() => {
                PublishError::LeaseLost
            }
            MediaError::Fenced { .. } => PublishError::Fenced { broadcast },
            error => PublishError::Media(error),
        }
    }

    fn window_start(&self, msn: Msn) -> Msn {
        let kept = self.config.dvr_window.0.div_euclid(self.config.segment.0.max(1));
        Msn(msn.0.saturating_sub(u64::try_from(kept).unwrap_or(0)))
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
        if let Err(error) = self.store.create(&path, bytes).await {
            self.metrics.store_failed();
            return Err(error.into());
        }
        if matches!(op, StoreOp::Segment { .. }) {
            self.metrics.stored();
        }
        Ok(())
    }

    /// Writes the index's head; false if the store did not take it.
    pub async fn put_head(&self, head: &Head) -> bool {
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
        let put = self.store.put(path, bytes.into()).await;
        if let Err(error) = &put {
            self.metrics.store_failed();
            tracing::warn!(path, error = report(error), "the index was not written");
        }
        put.is_ok()
    }
}
