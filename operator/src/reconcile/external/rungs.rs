//! Redis: which rungs a broadcast has. The transcoder decides it when the
//! broadcast begins, from the ladder and the source's height, and writes it
//! into the broadcast's description; it stands for the broadcast's life.

use std::collections::HashMap;

use millrace_media::id::{BroadcastId, StreamId};
use millrace_media::published::{BroadcastInfo, RenditionKind};

use super::{External, StepError};

/// Most rungs that a status lists; a ladder has no more.
const MOST: usize = 8;

/// The rungs of one broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rungs {
    /// Which.
    pub broadcast: BroadcastId,
    /// Their names, lowest first.
    pub names: Vec<String>,
}

/// The rungs of each stream's current or last broadcast, where it is described.
///
/// # Errors
/// `RedisUnavailable`, `RedisRefused`.
pub async fn rungs(
    outside: &External,
    streams: &[StreamId],
) -> Result<HashMap<StreamId, Rungs>, StepError> {
    let described = outside.guards.redis.call(outside.media.get_broadcasts(streams)).await?;
    Ok(described.into_iter().map(|(stream, info)| (stream, of(&info))).collect())
}

fn of(info: &BroadcastInfo) -> Rungs {
    let videos =
        info.renditions.iter().filter(|one| matches!(one.kind, RenditionKind::Video { .. }));
    let names = videos.map(|one| one.name.as_str().to_owned()).take(MOST).collect();
    Rungs { broadcast: info.broadcast, names }
}
