//! Work that one process of an installation does at a time, whoever it is.
//!
//! The holder has a named advisory lock on a connection of its own. When it
//! dies the server lets go at once; when it can't be reached the server finds
//! out after about 11 s ([`LOOK_AFTER_HOLDER`]), and the holder itself within
//! 3 s ([`BEAT`], [`PATIENCE`]) and stops. One that stands still, whose kernel
//! answers for it, is cut off by the server after 8 s ([`SILENCE`]). Work bears to be done twice all the
//! same: a lock in another machine is a promise about the past. It needs real
//! sessions: no connection pooler that hands them out by transaction.

use std::fmt::Display;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{DatabaseError, options};
use crate::backoff::Backoff;
use crate::config::{DatabaseConfig, Installation};
use crate::report::report;

/// How often the holder asks whether it still is, and others whether they can be.
const BEAT: Duration = Duration::from_secs(1);
/// Work that lasted so long has nothing to do with what failed before it.
const WELL: Duration = Duration::from_mins(1);
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Settings by which the server finds a holder that can't be reached.
const LOOK_AFTER_HOLDER: [(&str, &str); 5] = [
    ("statement_timeout", "2s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "11000"),
];

/// The server ends a session that asks nothing for so long. Before version 14
/// it knows no such setting.
const SILENCE: &str = "SET idle_session_timeout = '8s'";

/// A place that one process holds at a time.
#[derive(Debug, Clone)]
pub struct Singleton {
    options: PgConnectOptions,
    server: String,
    name: String,
    key: i64,
}

/// The right to do the work. Dropped, it is let go.
#[derive(Debug)]
pub struct Held {
    lost: CancellationToken,
    _release: DropGuard,
}

impl Held {
    /// Resolves when somebody else may hold it.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Singleton {
    /// The place of this name in this installation. Asks no server.
    ///
    /// # Errors
    /// When the URL holds options Postgres does not know.
    pub fn new(
        config: &DatabaseConfig,
        installation: &Installation,
        name: &str,
    ) -> Result<Self, DatabaseError> {
        Ok(Self {
            options: options(config)?.options(LOOK_AFTER_HOLDER),
            server: config.url.to_string(),
            name: name.to_owned(),
            key: key(installation, name),
        })
    }

    /// Waits until this process holds it, however long.
    pub async fn hold(&self) -> Held {
        let mut backoff = Backoff::new(BEAT, Duration::from_secs(5));
        loop {
            match self.wait().await {
                Ok(held) => return held,
                Err(error) => {
                    if backoff.attempts() == 0 {
                        tracing::warn!(
                            singleton = self.name,
                            "can't ask for it: {}",
                            report(&error)
                        );
                    }
                    backoff.wait().await;
                }
            }
        }
    }

    /// Does the work whenever this process holds the place, until `stop`; work
    /// that fails is begun again after a while, by whoever holds the place then.
    ///
    /// The work is dropped where it stands when the place is lost, and ends by
    /// itself when its token says so, which is on `stop`.
    pub async fn run<W, F, E>(&self, stop: CancellationToken, work: W)
    where
        W: Fn(CancellationToken) -> F,
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut backoff = Backoff::new(BEAT, Duration::from_secs(30));
        while !stop.is_cancelled() {
            let held = tokio::select! {
                held = self.hold() => held,
                () = stop.cancelled() => return,
            };
            let since = Instant::now();
            tokio::select! {
                done = work(stop.child_token()) => match done {
                    Ok(()) => backoff.reset(),
                    Err(error) => tracing::warn!(singleton = self.name, "{error:#}"),
                },
                () = held.lost() => {
                    tracing::warn!(singleton = self.name, "lost");
                    backoff.reset();
                }
            }
            drop(held);
            if since.elapsed() > WELL {
                backoff.reset();
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Asks on one connection until it is held.
    async fn wait(&self) -> Result<Held, DatabaseError> {
        let error =
            |e| DatabaseError::new(format!("hold singleton {}", self.name), self.server.clone(), e);
        let mut connection = in_time(self.options.connect()).await.map_err(error)?;
        if let Err(error) = in_time(sqlx::query(SILENCE).execute(&mut connection)).await {
            tracing::debug!(%error, "the server does not look for holders that stand still");
        }
        while !in_time(try_lock(&mut connection, self.key)).await.map_err(error)? {
            sleep(BEAT).await;
        }
        tracing::info!(singleton = self.name, "held by this process");
        let (lost, release) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(keep(connection, lost.clone().drop_guard(), release.clone()));
        Ok(Held { lost, _release: release.drop_guard() })
    }
}

/// Holds the connection until it breaks or nobody wants it any more. However
/// it ends, the place is lost.
async fn keep(mut connection: PgConnection, _lost: DropGuard, release: CancellationToken) {
    loop {
        tokio::select! {
            () = sleep(BEAT) => {}
            () = release.cancelled() => {
                // The server lets go when it sees the end, farewell or not.
                drop(timeout(PATIENCE, connection.close()).await);
                return;
            }
        }
        if in_time(connection.ping()).await.is_err() {
            return;
        }
    }
}

async fn try_lock(connection: &mut PgConnection, key: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "held!""#, key)
        .fetch_one(connection)
        .await
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |e| Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, e)));
    timeout(PATIENCE, work).await.unwrap_or_else(late)
}

/// The lock's number: half of a hash, so that names need no list.
fn key(installation: &Installation, name: &str) -> i64 {
    let hash = Sha256::digest(format!("millrace/{installation}/{name}"));
    hash.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}
