//! The counters of each second and what they sum up to: Redis database 2.
//!
//! Whoever counts something of a stream (its ingest, its transcoder, every
//! delivery replica) writes what it counted in a second into that second's
//! hash, under its own name: written twice it counts once. Whoever aggregates
//! reads a second when it is over, and writes one [`Snapshot`] per stream. All
//! of it lives for seconds.

mod live;

use std::collections::{BTreeMap, HashMap};

use millrace_media::id::{BroadcastId, RenditionName, StreamId};
use serde::{Deserialize, Serialize};

use super::viewers::Turnover;
use super::{Redis, RedisError};
use crate::config::Installation;
use crate::names::redis_keys;

pub use live::Live;

/// Life of counters and snapshots, seconds.
pub const LIFE: u64 = 5;
/// A stream that nobody called live for this long, in seconds, is not.
const LIVE: u64 = 5;
/// Streams in one round trip.
const BATCH: usize = 500;

/// What one process counted of one stream in one second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// The broadcast that is open, told by who knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<BroadcastId>,
    /// Bytes from the publisher.
    #[serde(skip_serializing_if = "is_zero")]
    pub ingress_bytes: u64,
    /// Bytes to viewers, by rendition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub egress_bytes: BTreeMap<RenditionName, u64>,
    /// Frames that viewers' decoders dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_frames: u64,
    /// Stalls of viewers.
    #[serde(skip_serializing_if = "is_zero")]
    pub buffering_events: u64,
    /// How long records had been in the log when they were read, at the most,
    /// ms; by the transcoder, if it read one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lag_ms: Option<u64>,
    /// What is amiss; by the transcoder.
    #[serde(skip_serializing_if = "Amiss::is_nothing")]
    pub amiss: Amiss,
}

/// What is amiss with a broadcast that is on, though it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Amiss {
    /// The object store does not take what is to be stored.
    pub store_away: bool,
    /// The source's keyframes are too far apart.
    pub gop_too_long: bool,
}

impl Amiss {
    /// Nothing is.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Counters {
    /// Adds what another process counted.
    pub fn add(&mut self, other: Self) {
        // Ids of broadcasts grow: a process that is behind tells the older one.
        self.broadcast = self.broadcast.max(other.broadcast);
        self.ingress_bytes = self.ingress_bytes.saturating_add(other.ingress_bytes);
        for (rendition, bytes) in other.egress_bytes {
            let sum = self.egress_bytes.entry(rendition).or_default();
            *sum = sum.saturating_add(bytes);
        }
        self.dropped_frames = self.dropped_frames.saturating_add(other.dropped_frames);
        self.buffering_events = self.buffering_events.saturating_add(other.buffering_events);
        self.log_lag_ms = self.log_lag_ms.max(other.log_lag_ms);
        self.amiss.store_away |= other.amiss.store_away;
        self.amiss.gop_too_long |= other.amiss.gop_too_long;
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The data of the `metrics` message, by its names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricsData {
    /// The stream.
    pub stream_id: StreamId,
    /// Who watches.
    pub concurrent_viewers: u32,
    /// From the publisher, Mbit/s.
    pub ingress_bitrate_mbps: f64,
    /// To all viewers, Mbit/s.
    pub egress_bitrate_mbps: f64,
    /// Viewers by rung.
    pub quality_distribution: BTreeMap<RenditionName, u32>,
    /// Frames that viewers' decoders dropped in the second.
    pub dropped_frames: u64,
    /// Stalls of viewers in the second.
    pub buffering_events: u64,
}

/// One second of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Which second, unix s.
    pub second: u64,
    /// The broadcast that was live, where somebody told.
    pub broadcast: Option<BroadcastId>,
    /// What it was like.
    pub data: MetricsData,
    /// How many viewers came and went until then; earlier versions don't tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turnover: Option<Turnover>,
    /// The same as in the counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_lag_ms: Option<u64>,
    /// The same as in the counters.
    #[serde(default, skip_serializing_if = "Amiss::is_nothing")]
    pub amiss: Amiss,
}

/// Database 2. Times are unix seconds, passed in.
#[derive(Debug, Clone)]
pub struct MetricsStore {
    redis: Redis,
    installation: Installation,
}

impl MetricsStore {
    /// On database 2.
    pub fn new(redis: Redis, installation: Installation) -> Self {
        Self { redis, installation }
    }

    /// Writes what `source` counted in `second`, in one round trip. `source` is
    /// unique among processes and the same in every call of one.
    pub async fn put_counters(
        &self,
        source: &str,
        second: u64,
        counted: &[(StreamId, Counters)],
    ) -> Result<(), RedisError> {
        let what = || format!("write the counters of {} streams", counted.len());
        for some in counted.chunks(BATCH) {
            let mut commands = redis::pipe();
            for (stream, counters) in some {
                let key = redis_keys::counted(&self.installation, stream, second);
                let json = self.redis.to_json(counters, what)?;
                commands.cmd("HSET").arg(&key).arg(source).arg(json).ignore();
                commands.cmd("EXPIRE").arg(&key).arg(LIFE).ignore();
            }
            self.redis.pipeline::<()>(&commands, what).await?;
        }
        Ok(())
    }

    /// Calls these streams live in `second`, and writes what their ingest or
    /// transcoder counted in it.
    pub async fn put_live(
        &self,
        source: &str,
        second: u64,
        counted: &[(StreamId, Counters)],
    ) -> Result<(), RedisError> {
        let what = || format!("call {} streams live", counted.len());
        let live = redis_keys::live_streams(&self.installation);
        for some in counted.chunks(BATCH) {
            let mut commands = redis::pipe();
            let add = commands.cmd("ZADD").arg(&live).arg("GT");
            for (stream, _) in some {
                add.arg(second).arg(stream.as_str());
            }
            commands.ignore().cmd("EXPIRE").arg(&live).arg(LIVE * 2).ignore();
            self.redis.pipeline::<()>(&commands, what).await?;
        }
        self.put_counters(source, second, counted).await
    }

    /// The streams that were called live a short while before `second`, or in
    /// it. Forgets those that are not any more.
    pub async fn live(&self, second: u64) -> Result<Vec<StreamId>, RedisError> {
        let key = redis_keys::live_streams(&self.installation);
        let since = second.saturating_sub(LIVE);
        let mut commands = redis::pipe();
        commands.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(format!("({since}")).ignore();
        commands.cmd("ZRANGEBYSCORE").arg(&key).arg(since).arg("+inf");
        let what = || "list the live streams".to_owned();
        let (streams,): (Vec<String>,) = self.redis.pipeline(&commands, what).await?;
        Ok(streams.iter().filter_map(|text| text.parse().ok()).collect())
    }

    /// What all counted of each of these streams in `second`, summed.
    pub async fn sums(
        &self,
        streams: &[StreamId],
        second: u64,
    ) -> Result<Vec<Counters>, RedisError> {
        let what = || format!("read the counters of {} streams", streams.len());
        let mut sums = Vec::with_capacity(streams.len());
        for some in streams.chunks(BATCH) {
            let mut commands = redis::pipe();
            for stream in some {
                let key = redis_keys::counted(&self.installation, stream, second);
                commands.cmd("HVALS").arg(key);
            }
            let all: Vec<Vec<Vec<u8>>> = self.redis.pipeline(&commands, what).await?;
            for of_stream in all {
                let mut sum = Counters::default();
                // One that can't be read must not cost everybody the second.
                let read = of_stream.iter().filter_map(|json| serde_json::from_slice(json).ok());
                read.for_each(|counters| sum.add(counters));
                sums.push(sum);
            }
        }
        Ok(sums)
    }

    /// Writes each stream's last second.
    pub async fn put_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), RedisError> {
        let what = || format!("write the snapshots of {} streams", snapshots.len());
        for some in snapshots.chunks(BATCH) {
            let mut commands = redis::pipe();
            for snapshot in some {
                let key = redis_keys::snapshot(&self.installation, &snapshot.data.stream_id);
                let json = self.redis.to_json(snapshot, what)?;
                commands.cmd("SET").arg(key).arg(json).arg("EX").arg(LIFE).ignore();
            }
            self.redis.pipeline::<()>(&commands, what).await?;
        }
        Ok(())
    }

    /// The last second of each of these streams that is live. One that can't be
    /// read is left out.
    pub async fn get_snapshots(
        &self,
        streams: &[StreamId],
    ) -> Result<HashMap<StreamId, Snapshot>, RedisError> {
        let what = || format!("look up the metrics of {} streams", streams.len());
        let mut found = HashMap::with_capacity(streams.len());
        for some in streams.chunks(BATCH) {
            // A GET each: in a cluster they are on different servers.
            let mut commands = redis::pipe();
            for stream in some {
                commands.cmd("GET").arg(redis_keys::snapshot(&self.installation, stream));
            }
            let all: Vec<Option<Vec<u8>>> = self.redis.pipeline(&commands, what).await?;
            for (stream, json) in some.iter().zip(all) {
                let snapshot = json.and_then(|json| serde_json::from_slice(&json).ok());
                found.extend(snapshot.map(|snapshot| (stream.clone(), snapshot)));
            }
        }
        Ok(found)
    }

    /// A stream's last second; none when it is not live.
    pub async fn get_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, RedisError> {
        let what = || format!("look up the metrics of {stream}");
        let mut get = redis::cmd("GET");
        get.arg(redis_keys::snapshot(&self.installation, stream));
        let json: Option<Vec<u8>> = self.redis.query(&get, what).await?;
        let read = json.map(|json| serde_json::from_slice(&json)).transpose();
        read.map_err(|e| self.redis.corrupt(what(), &e))
    }
}
