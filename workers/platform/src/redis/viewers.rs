//! Who watches: Redis database 3, a sorted set per stream.
//!
//! Replicas report the viewers they saw. Beside the set a hash keeps what is
//! known of each visit, so that a viewer whose requests are spread over
//! replicas is one viewer, joined once, and its figures add up. Everything is
//! forgotten 30 s after the viewer was last seen.

mod report;
mod turnover;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use millrace_media::id::{RenditionName, StreamId};
use redis::Script;

use super::{Redis, RedisError};
use crate::config::Installation;
use crate::names::redis_keys::ViewerKeys;

pub use report::{InvalidViewer, Report, Settled, Sign, Viewer, Visit};
pub use turnover::{Moved, Turnover};

/// A viewer not seen for this long is gone.
pub const IDLE: Duration = Duration::from_secs(30);
/// Viewers in one call: the server is never busy long.
const BATCH: usize = 500;
/// Streams in one round trip.
const STREAMS: usize = 500;
/// A stream's guesses are hashed with another salt after this long.
const SALT_LIFE: Duration = Duration::from_hours(24);

static SEEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("viewers/prune.lua"), include_str!("viewers/seen.lua")))
});
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("viewers/prune.lua"), include_str!("viewers/count.lua")))
});

/// What the script says of a stream: viewers, those by rung, turnover.
type Counted = (u32, BTreeMap<String, u32>, BTreeMap<String, u64>);

/// How many watch a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// All of them.
    pub viewers: u32,
    /// Those whose rung is known, by rung.
    pub by_rung: BTreeMap<RenditionName, u32>,
    /// How many came and went.
    pub turnover: Turnover,
}

/// Presence of viewers. Times are unix seconds, passed in.
#[derive(Debug, Clone)]
pub struct Viewers {
    redis: Redis,
    installation: Installation,
}

impl Viewers {
    /// On database 3.
    pub fn new(redis: Redis, installation: Installation) -> Self {
        Self { redis, installation }
    }

    fn keys(&self, stream: &StreamId) -> ViewerKeys {
        ViewerKeys::new(&self.installation, stream)
    }

    fn script_keys(&self, stream: &StreamId) -> Vec<String> {
        let keys = self.keys(stream);
        vec![
            keys.viewers(),
            keys.visits(),
            keys.rungs(),
            keys.covered(),
            keys.left(),
            keys.turnover(),
        ]
    }

    /// Notes viewers of a stream; says what is known of each visit then, none
    /// for a guess that is unnecessary, for a sign from before it left, which
    /// comes late, and for the leave of nobody. Forgets who is gone now.
    pub async fn report(
        &self,
        stream: &StreamId,
        reports: &[Report],
        now: u64,
    ) -> Result<Vec<Option<Visit>>, RedisError> {
        let what = || format!("note {} viewers of {stream}", reports.len());
        let mut visits = Vec::with_capacity(reports.len());
        for some in reports.chunks(BATCH) {
            let mut call = SEEN.prepare_invoke();
            for key in self.script_keys(stream) {
                call.key(key);
            }
            call.arg(gone(now)).arg(IDLE.as_secs() * 2);
            for report in some {
                report.write(&mut call);
            }
            let answers: Vec<Vec<String>> = self.redis.script(&call, what).await?;
            for answer in answers {
                let visit = Visit::read(&answer);
                visits.push(visit.map_err(|detail| self.redis.corrupt(what(), &detail))?);
            }
        }
        Ok(visits)
    }

    /// How many watch a stream now.
    pub async fn count(&self, stream: &StreamId, now: u64) -> Result<u64, RedisError> {
        let mut count = redis::cmd("ZCOUNT");
        count.arg(self.keys(stream).viewers()).arg(gone(now)).arg("+inf");
        self.redis.query(&count, || format!("count the viewers of {stream}")).await
    }

    /// How many watch each of these streams now, on which rungs, and how many
    /// came and went. Forgets who is gone.
    pub async fn audiences(
        &self,
        streams: &[StreamId],
        now: u64,
    ) -> Result<Vec<Audience>, RedisError> {
        let what = || format!("count the viewers of {} streams", streams.len());
        let mut audiences = Vec::with_capacity(streams.len());
        for some in streams.chunks(STREAMS) {
            let calls: Vec<_> = some
                .iter()
                .map(|stream| (self.script_keys(stream), vec![gone(now).to_string()]))
                .collect();
            let counted: Vec<Counted> = self.redis.script_for_each(&COUNT, &calls, what).await?;
            audiences.extend(counted.into_iter().map(|(viewers, rungs, turnover)| {
                // A name that is none was not written by this version.
                let rung = |(name, count): (String, u32)| Some((name.parse().ok()?, count));
                let by_rung = rungs.into_iter().filter_map(rung).collect();
                Audience { viewers, by_rung, turnover: Turnover::read(&turnover) }
            }));
        }
        Ok(audiences)
    }

    /// What guesses of a stream's viewers are hashed with: the same for all
    /// replicas, for a day; `fresh` if there is none yet.
    pub async fn salt(&self, stream: &StreamId, fresh: &str) -> Result<String, RedisError> {
        let key = self.keys(stream).salt();
        let mut both = redis::pipe();
        both.cmd("SET").arg(&key).arg(fresh).arg("NX").arg("EX").arg(SALT_LIFE.as_secs()).ignore();
        both.cmd("GET").arg(&key);
        let what = || format!("get the salt of {stream}");
        let (salt,): (Option<String>,) = self.redis.pipeline(&both, what).await?;
        Ok(salt.unwrap_or_else(|| fresh.to_owned()))
    }
}

/// Who was last seen before this is gone.
fn gone(now: u64) -> u64 {
    now.saturating_sub(IDLE.as_secs())
}
