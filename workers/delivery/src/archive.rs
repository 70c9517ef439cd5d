//! Broadcasts before the current one, read from the object store's index when
//! a viewer still asks for them. They are over: their playlists are final.

use millrace_platform::report::report;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::id::{BroadcastId, StreamId};
use moka::future::Cache;

use crate::fetch::NoMedia;
use crate::live::view::View;
use crate::origin::{Origin, OriginError};

/// Broadcasts kept in memory.
const MAX_KEPT: u64 = 64;
/// An index is read again after this long.
const KEPT: Duration = Duration::from_mins(1);
/// A broadcast that was not found is not looked for again for this long.
const ABSENT: Duration = Duration::from_secs(1);
/// Absent broadcasts remembered.
const MAX_ABSENT: u64 = 10_000;

type Key = (StreamId, BroadcastId);

/// Ended broadcasts; clones share the memory.
#[derive(Debug, Clone)]
pub struct Archive {
    origin: Origin,
    kept: Cache<Key, Arc<View>>,
    absent: Cache<Key, ()>,
}

impl Archive {
    /// Empty.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            kept: Cache::builder().max_capacity(MAX_KEPT).time_to_live(KEPT).build(),
            absent: Cache::builder().max_capacity(MAX_ABSENT).time_to_live(ABSENT).build(),
        }
    }

    /// The broadcast, ended.
    pub async fn get(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
    ) -> Result<Arc<View>, NoMedia> {
        let key = (stream.clone(), broadcast);
        if self.absent.get(&key).await.is_some() {
            return Err(NoMedia::Absent);
        }
        let read = self.kept.try_get_with_by_ref(&key, self.read(&key)).await;
        read.map_err(|shared: Arc<NoMedia>| *shared)
    }

    async fn read(&self, key: &Key) -> Result<Arc<View>, NoMedia> {
        match self.origin.archived(&key.0, key.1).await {
            Ok(Some(stored)) => {
                let view = stored.into_view();
                Ok(Arc::new(view.ended().unwrap_or(view)))
            }
            Ok(None) => {
                self.absent.insert(key.clone(), ()).await;
                Err(NoMedia::Absent)
            }
            // A flood of guesses is not told one by one.
            Err(OriginError::Busy) => Err(NoMedia::Behind),
            Err(error) => {
                tracing::warn!(stream = %key.0, broadcast = %key.1, error = report(&error), "index not read");
                Err(NoMedia::Behind)
            }
        }
    }
}
