//! `livestreams`: which LiveStreams have something outside Kubernetes, and
//! since when one of them is not found any more.
//!
//! Times of absence are Postgres's: operators on other nodes have other clocks.

use std::time::Duration;

use millrace_media::id::StreamId;

use super::{Database, DatabaseError, Transaction, decode};
use crate::config::Installation;

/// What becomes of the record and the media of a stream that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keep {
    /// They stay.
    Retain,
    /// They go.
    Delete,
}

impl Keep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }

    fn parse(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "Retain" => Ok(Self::Retain),
            "Delete" => Ok(Self::Delete),
            other => Err(sqlx::Error::Decode(format!("deletion policy {other:?}").into())),
        }
    }
}

/// A LiveStream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Registration {
    /// Its UID.
    pub uid: String,
    /// Its name.
    pub stream: StreamId,
    /// Who owns it.
    pub broadcaster: String,
    /// What is kept of it.
    pub keep: Keep,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// There was no such LiveStream.
    New,
    /// There was, with other facts.
    Changed,
    /// Nothing was written.
    Unchanged,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The LiveStream.
    pub livestream: Registration,
    /// For how long it has not been found; none while it is.
    pub absent: Option<Duration>,
}

fn described(livestream: &Registration) -> String {
    format!("{} with UID {}", livestream.stream, livestream.uid)
}

struct Row {
    uid: String,
    stream_id: String,
    broadcaster_id: String,
    deletion_policy: String,
    absent_ms: Option<i64>,
}

impl TryFrom<Row> for Registered {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            livestream: Registration {
                uid: row.uid,
                stream: row.stream_id.parse().map_err(decode)?,
                broadcaster: row.broadcaster_id,
                keep: Keep::parse(&row.deletion_policy)?,
            },
            absent: row
                .absent_ms
                .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
        })
    }
}

/// The table, as one installation sees it.
#[derive(Debug, Clone)]
pub struct Registry {
    database: Database,
    installation: Installation,
}

impl Registry {
    /// The LiveStreams of one installation.
    pub fn new(database: Database, installation: Installation) -> Self {
        Self { database, installation }
    }

    /// Whether a LiveStream is noted just so, as one that is there.
    pub async fn is_registered(&self, livestream: &Registration) -> Result<bool, DatabaseError> {
        sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM livestreams
                   WHERE installation = $1 AND uid = $2 AND stream_id = $3 AND broadcaster_id = $4
                     AND deletion_policy = $5 AND absent_since IS NULL) AS "is!""#,
            self.installation.as_str(),
            livestream.uid,
            livestream.stream.as_str(),
            livestream.broadcaster,
            livestream.keep.as_str(),
        )
        .fetch_one(self.database.pool())
        .await
        .map_err(|e| self.database.error(format!("look up {}", described(livestream)), e))
    }

    /// Notes a LiveStream that is there, once the transaction is committed;
    /// says whether that was news. Writes nothing when it was not.
    pub async fn register(
        &self,
        transaction: &mut Transaction,
        livestream: &Registration,
    ) -> Result<Noted, DatabaseError> {
        let what = || format!("register {}", described(livestream));
        let inserted = sqlx::query!(
            "INSERT INTO livestreams
                 (installation, uid, stream_id, broadcaster_id, deletion_policy)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (installation, uid) DO NOTHING",
            self.installation.as_str(),
            livestream.uid,
            livestream.stream.as_str(),
            livestream.broadcaster,
            livestream.keep.as_str(),
        )
        .execute(transaction.connection())
        .await;
        if inserted.map_err(|e| transaction.error(what(), e))?.rows_affected() > 0 {
            return Ok(Noted::New);
        }
        let updated = sqlx::query!(
            "UPDATE livestreams SET
                 stream_id = $3, broadcaster_id = $4, deletion_policy = $5, absent_since = NULL
             WHERE installation = $1 AND uid = $2
               AND (stream_id, broadcaster_id, deletion_policy, absent_since)
                   IS DISTINCT FROM ($3, $4, $5, NULL)",
            self.installation.as_str(),
            livestream.uid,
            livestream.stream.as_str(),
            livestream.broadcaster,
            livestream.keep.as_str(),
        )
        .execute(transaction.connection())
        .await;
        let updated = updated.map_err(|e| transaction.error(what(), e))?.rows_affected() > 0;
        Ok(if updated { Noted::Changed } else { Noted::Unchanged })
    }

    /// All of them.
    pub async fn all(&self) -> Result<Vec<Registered>, DatabaseError> {
        sqlx::query_as!(
            Row,
            r#"SELECT uid, stream_id, broadcaster_id, deletion_policy,
                      (extract(epoch FROM now() - absent_since) * 1000)::bigint AS "absent_ms"
               FROM livestreams WHERE installation = $1 ORDER BY stream_id, first_seen, uid"#,
            self.installation.as_str(),
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|rows| rows.into_iter().map(Registered::try_from).collect())
        .map_err(|e| self.database.error("list the registered LiveStreams", e))
    }

    /// Names of LiveStreams that are there, of this namespace if any.
    pub async fn names(&self, namespace: Option<&str>) -> Result<Vec<StreamId>, DatabaseError> {
        sqlx::query_scalar!(
            "SELECT stream_id FROM livestreams
             WHERE installation = $1 AND absent_since IS NULL
               AND ($2::text IS NULL OR split_part(stream_id, '.', 1) = $2)",
            self.installation.as_str(),
            namespace,
        )
        .fetch_all(self.database.pool())
        .await
        .and_then(|names| names.iter().map(|name| name.parse().map_err(decode)).collect())
        .map_err(|e| self.database.error("list the names of LiveStreams", e))
    }

    /// These are not found: since now, unless it was noted before.
    pub async fn note_absent(&self, uids: &[String]) -> Result<(), DatabaseError> {
        sqlx::query!(
            "UPDATE livestreams SET absent_since = now()
             WHERE installation = $1 AND uid = ANY($2) AND absent_since IS NULL",
            self.installation.as_str(),
            uids,
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(format!("note {} absent LiveStreams", uids.len()), e))
    }

    /// What is to be kept of this one.
    pub async fn keep(&self, uid: &str, keep: Keep) -> Result<(), DatabaseError> {
        sqlx::query!(
            "UPDATE livestreams SET deletion_policy = $3 WHERE installation = $1 AND uid = $2",
            self.installation.as_str(),
            uid,
            keep.as_str(),
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(format!("note what is kept of {uid}"), e))
    }

    /// These are found again.
    pub async fn note_present(&self, uids: &[String]) -> Result<(), DatabaseError> {
        sqlx::query!(
            "UPDATE livestreams SET absent_since = NULL
             WHERE installation = $1 AND uid = ANY($2) AND absent_since IS NOT NULL",
            self.installation.as_str(),
            uids,
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(format!("note {} LiveStreams as found", uids.len()), e))
    }

    /// Nothing is left of this one; again is harmless. One that is not noted
    /// as absent stays.
    pub async fn forget(&self, uid: &str) -> Result<(), DatabaseError> {
        sqlx::query!(
            "DELETE FROM livestreams
             WHERE installation = $1 AND uid = $2 AND absent_since IS NOT NULL",
            self.installation.as_str(),
            uid,
        )
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(|e| self.database.error(format!("forget the LiveStream with UID {uid}"), e))
    }
}
