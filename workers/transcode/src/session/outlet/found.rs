//! What another process has published: renditions that go on after it.

use std::collections::HashSet;

use bytes::Bytes;
use millrace_media::published::{PartInfo, RenditionInfo};
use millrace_platform::report::report;
use millrace_platform::store::StoreError;

use super::{Outlet, Shared};
use crate::publish::redis::RedisOp;
use crate::publish::resume::RenditionResume;
use crate::publish::store::StoreOp;
use crate::services::{Blind, Place, PublishError};
use crate::session::SessionError;

impl Outlet {
    /// A rendition found published: fetches its open parts, and sends on what
    /// one of the stores is missing.
    pub(super) async fn adopt(
        &mut self,
        info: &RenditionInfo,
        mut plan: RenditionResume,
        blind: Blind,
    ) -> Result<Shared, SessionError> {
        let place = self.place(&info.name);
        let open = self.open_parts(&place, &plan.open).await?;
        if open.len() < plan.open.len() {
            tracing::warn!(rendition = %info.name, "the open segment is made again: parts are lost");
            plan.reopen();
        }
        let (mut unindexed, mut away) = (Vec::new(), blind.index);
        let mut inits = HashSet::new();
        for segment in &plan.unindexed {
            // Nor may the store have what they begin with.
            if !segment.gap
                && inits.insert(&segment.init)
                && let Some(bytes) = self.services.init_in_redis(&place, &segment.init).await?
            {
                unindexed.push(StoreOp::Init { hash: segment.init.clone(), bytes });
            }
            let mut bytes = self.services.segment_in_redis(&place, segment).await?;
            if bytes.is_none() && !away {
                let stored = self.services.segment_in_store(&place, segment);
                bytes = match self.services.soon("read a segment", stored).await {
                    // Nor is it asked for the others: a viewer waits.
                    Err(PublishError::Store(error @ StoreError::Late { .. })) => {
                        tracing::warn!(
                            error = report(&error),
                            "what is not indexed yet counts as missing"
                        );
                        away = true;
                        None
                    }
                    stored => stored?,
                };
            }
            unindexed.push(StoreOp::Segment { info: segment.clone(), bytes });
        }
        let shared = self.rendition(&info.name, info.timescale, &plan, open);
        if let Some((redis, store)) = self.lanes.last() {
            for op in unindexed {
                store.push(op);
            }
            for segment in plan.unlisted {
                redis.push(RedisOp::Segment { info: segment, parts: Vec::new(), bytes: None });
            }
        }
        tracing::info!(rendition = %info.name, resume_at = ?plan.resume_at, "adopted");
        Ok(shared)
    }

    /// The bytes of the open parts; none if any is missing.
    async fn open_parts(
        &self,
        place: &Place,
        parts: &[PartInfo],
    ) -> Result<Vec<(PartInfo, Bytes)>, SessionError> {
        let mut open = Vec::new();
        for part in parts {
            let Some(bytes) = self.services.part(place, part).await? else { return Ok(Vec::new()) };
            open.push((part.clone(), bytes));
        }
        Ok(open)
    }
}
