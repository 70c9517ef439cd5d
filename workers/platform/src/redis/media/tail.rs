//! Waiting for what comes next: XREAD over several playlist logs.

use std::time::Duration;

use millrace_media::id::{BroadcastId, RenditionName};
use millrace_media::published::Entry;
use redis::aio::MultiplexedConnection;

use super::{EntryId, RawEntry, parse_entry};
use crate::names::redis_keys::MediaKeys;
use crate::redis::{Redis, RedisError};

/// How long the server holds a request with nothing to say.
const BLOCK: Duration = Duration::from_secs(5);
/// An answer later than this says that the connection is dead.
const DEAD: Duration = Duration::from_secs(7);
/// Entries of each rendition in one answer.
const BATCH: usize = 500;

/// A cursor over the playlist logs of one broadcast. It holds a connection of
/// its own, so one per broadcast and replica.
#[derive(Debug)]
pub struct Tail {
    redis: Redis,
    cursors: Vec<Cursor>,
    connection: Option<Connection>,
    what: String,
}

#[derive(Debug)]
struct Cursor {
    key: String,
    rendition: RenditionName,
    after: EntryId,
}

struct Connection(MultiplexedConnection);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Tail {
    pub(super) fn new(
        redis: Redis,
        keys: &MediaKeys,
        broadcast: BroadcastId,
        from: Vec<(RenditionName, EntryId)>,
    ) -> Self {
        let cursor = |(rendition, after)| Cursor {
            key: keys.playlist(broadcast, &rendition),
            rendition,
            after,
        };
        let what = format!("wait for entries of {} {broadcast}", keys.stream());
        Self { redis, cursors: from.into_iter().map(cursor).collect(), connection: None, what }
    }

    /// The next entries, in order within each rendition. Empty after about 5 s
    /// in which nothing came: a moment to look whether the broadcast changed.
    /// After an error the next call connects anew, from where it was; wait a
    /// little before. Cancel-safe: a cancelled call loses nothing.
    pub async fn next(&mut self) -> Result<Vec<(RenditionName, Entry)>, RedisError> {
        if self.cursors.is_empty() {
            tokio::time::sleep(BLOCK).await;
            return Ok(Vec::new());
        }
        // Taken out while in use: a request that is cancelled or fails would
        // leave the connection with an answer that nobody waits for.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection(self.redis.dedicated().await?),
        };
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(BLOCK.as_millis().to_string()).arg("STREAMS");
        for cursor in &self.cursors {
            read.arg(&cursor.key);
        }
        for cursor in &self.cursors {
            read.arg(cursor.after.to_string());
        }
        let late = || redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let answer: Option<Vec<(String, Vec<RawEntry>)>> =
            tokio::time::timeout(DEAD, read.query_async(&mut connection.0))
                .await
                .unwrap_or_else(|_| Err(late()))
                .map_err(|e| self.redis.error(self.what.clone(), e))?;
        let mut entries = Vec::new();
        for (key, raw) in answer.unwrap_or_default() {
            let Some(cursor) = self.cursors.iter_mut().find(|c| c.key == key) else { continue };
            for raw in raw {
                let entry =
                    parse_entry(raw).map_err(|e| self.redis.corrupt(self.what.clone(), &e))?;
                cursor.after = EntryId::of(&entry);
                entries.push((cursor.rendition.clone(), entry));
            }
        }
        self.connection = Some(connection);
        Ok(entries)
    }
}
