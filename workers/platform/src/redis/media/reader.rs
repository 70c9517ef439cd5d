//! Reading what a writer has published.

use std::collections::HashMap;

use bytes::Bytes;
use millrace_media::id::{BroadcastId, Msn, RenditionName, Run, StreamId};
use millrace_media::published::{BroadcastInfo, Entry, InitHash};

use super::{EntryId, Holder, RawEntry, Tail, parse_entry};
use crate::config::Installation;
use crate::names::redis_keys::MediaKeys;
use crate::redis::{Redis, RedisError};

/// Entries asked for at once.
const PAGE: usize = 1000;
/// Streams in one round trip.
const BATCH: usize = 500;

/// The read side of all streams. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaReader {
    redis: Redis,
    installation: Installation,
}

impl MediaReader {
    /// On database 1.
    pub fn new(redis: Redis, installation: Installation) -> Self {
        Self { redis, installation }
    }

    fn keys(&self, stream: &StreamId) -> MediaKeys {
        MediaKeys::new(&self.installation, stream)
    }

    /// The current or last broadcast of a stream.
    pub async fn get_broadcast(
        &self,
        stream: &StreamId,
    ) -> Result<Option<BroadcastInfo>, RedisError> {
        let what = || format!("look up the broadcast of {stream}");
        let key = self.keys(stream).broadcast();
        let Some(json) = self.get(&key, what).await? else { return Ok(None) };
        serde_json::from_slice(&json).map(Some).map_err(|e| self.redis.corrupt(what(), &e))
    }

    /// The same of each of these streams that has one, in few round trips. One
    /// that can't be read is left out.
    pub async fn get_broadcasts(
        &self,
        streams: &[StreamId],
    ) -> Result<HashMap<StreamId, BroadcastInfo>, RedisError> {
        let what = || format!("look up the broadcasts of {} streams", streams.len());
        let mut found = HashMap::with_capacity(streams.len());
        for some in streams.chunks(BATCH) {
            // A GET each: in a cluster they are on different servers.
            let mut commands = redis::pipe();
            for stream in some {
                commands.cmd("GET").arg(self.keys(stream).broadcast());
            }
            let all: Vec<Option<Vec<u8>>> = self.redis.pipeline(&commands, what).await?;
            for (stream, json) in some.iter().zip(all) {
                let info = json.and_then(|json| serde_json::from_slice(&json).ok());
                found.extend(info.map(|info| (stream.clone(), info)));
            }
        }
        Ok(found)
    }

    /// The streams that have a current or last broadcast here, at most 1,000.
    pub async fn streams(&self) -> Result<Vec<StreamId>, RedisError> {
        const MOST: usize = 1_000;
        let prefix = format!("{}broadcast:{{", self.installation.prefix(':'));
        let mut streams = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1_000);
            let (next, keys): (u64, Vec<String>) =
                self.redis.query(&scan, || "list the streams".to_owned()).await?;
            let id = |key: &String| key.strip_prefix(&prefix)?.strip_suffix('}')?.parse().ok();
            streams.extend(keys.iter().filter_map(id));
            cursor = next;
            if cursor == 0 || streams.len() >= MOST {
                break;
            }
        }
        streams.sort();
        streams.dedup();
        streams.truncate(MOST);
        Ok(streams)
    }

    /// Who holds the writer's lease of a stream.
    pub async fn holder(&self, stream: &StreamId) -> Result<Option<Holder>, RedisError> {
        let what = || format!("look up the writer of {stream}");
        let mut get = redis::cmd("HMGET");
        get.arg(self.keys(stream).writer()).arg("broadcast").arg("run").arg("token");
        let (broadcast, run, token): (Option<String>, Option<u64>, Option<String>) =
            self.redis.query(&get, what).await?;
        let token = token.and_then(|token| token.parse().ok());
        Ok(broadcast.zip(run).map(|(broadcast, run)| Holder { broadcast, run: Run(run), token }))
    }

    /// All entries of a rendition after `after` (that one not included), in
    /// order.
    pub async fn entries(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
        rendition: &RenditionName,
        after: EntryId,
    ) -> Result<Vec<Entry>, RedisError> {
        let what = || format!("read the playlist of {stream} {rendition}");
        let key = self.keys(stream).playlist(broadcast, rendition);
        let mut entries = Vec::new();
        let mut after = after;
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(&key).arg(format!("({after}")).arg("+").arg("COUNT").arg(PAGE);
            let page: Vec<RawEntry> = self.redis.query(&range, what).await?;
            let full = page.len() == PAGE;
            for raw in page {
                let entry = parse_entry(raw).map_err(|e| self.redis.corrupt(what(), &e))?;
                after = EntryId::of(&entry);
                entries.push(entry);
            }
            if !full {
                return Ok(entries);
            }
        }
    }

    /// The last entry of each of these renditions, in their order; none where
    /// nothing is published, or nothing is left.
    pub async fn newest(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
        renditions: &[RenditionName],
    ) -> Result<Vec<Option<Entry>>, RedisError> {
        if renditions.is_empty() {
            return Ok(Vec::new());
        }
        let what = || format!("read the ends of the playlists of {stream}");
        let mut commands = redis::pipe();
        for rendition in renditions {
            let key = self.keys(stream).playlist(broadcast, rendition);
            commands.cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1);
        }
        let answers: Vec<Vec<RawEntry>> = self.redis.pipeline(&commands, what).await?;
        let last = |answer: Vec<RawEntry>| {
            let entry = answer.into_iter().next().map(parse_entry).transpose();
            entry.map_err(|e| self.redis.corrupt(what(), &e))
        };
        answers.into_iter().map(last).collect()
    }

    /// Waits for entries of several renditions at once, on a connection of its
    /// own. Each rendition is read from after the id given with it.
    pub fn tail(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
        from: Vec<(RenditionName, EntryId)>,
    ) -> Tail {
        Tail::new(self.redis.clone(), &self.keys(stream), broadcast, from)
    }

    /// The bytes of a part, while they are there.
    pub async fn get_part(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
        rendition: &RenditionName,
        (msn, part, run): (Msn, u32, Run),
    ) -> Result<Option<Bytes>, RedisError> {
        let key = self.keys(stream).part(broadcast, rendition, (msn, part, run));
        self.get(&key, || format!("fetch {key}")).await
    }

    /// The bytes of a segment, while they are there.
    pub async fn get_segment(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
        rendition: &RenditionName,
        (msn, run): (Msn, Run),
    ) -> Result<Option<Bytes>, RedisError> {
        let key = self.keys(stream).segment(broadcast, rendition, (msn, run));
        self.get(&key, || format!("fetch {key}")).await
    }

    /// The bytes of an init segment, while they are there.
    pub async fn get_init(
        &self,
        stream: &StreamId,
        broadcast: BroadcastId,
        hash: &InitHash,
    ) -> Result<Option<Bytes>, RedisError> {
        let key = self.keys(stream).init(broadcast, hash);
        self.get(&key, || format!("fetch {key}")).await
    }

    async fn get(&self, key: &str, what: impl Fn() -> String) -> Result<Option<Bytes>, RedisError> {
        let mut get = redis::cmd("GET");
        get.arg(key);
        let bytes: Option<Vec<u8>> = self.redis.query(&get, what).await?;
        Ok(bytes.map(Bytes::from))
    }
}
