//! Brings the schema to this version. Several may run at once: the first takes
//! an advisory lock, the others wait and find nothing to do.

use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::{Database, DatabaseError, error, options};
use crate::backoff::Backoff;
use crate::config::DatabaseConfig;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Why the schema is not what this version needs.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No server within the time given.
    #[error("no Postgres at {server} within {seconds} s: start it, or correct its URL")]
    NoServer {
        /// Its URL without password.
        server: String,
        /// How long it was tried.
        seconds: u64,
        /// The last attempt.
        #[source]
        source: sqlx::Error,
    },
    /// The schema was made by a newer version.
    #[error(
        "the schema of {server} is at version {found}, newer than {known}, the newest known here: \
         run a newer version of Millrace"
    )]
    Newer {
        /// Its URL without password.
        server: String,
        /// The schema's version.
        found: i64,
        /// The newest version of this program.
        known: i64,
    },
    /// The schema lacks what this version needs.
    #[error("the schema of {server} is at version {found}, {needed} is needed: run the migrations")]
    Older {
        /// Its URL without password.
        server: String,
        /// The schema's version, 0 for an empty database.
        found: i64,
        /// The version needed.
        needed: i64,
    },
    /// A migration failed.
    #[error("migrate {server}")]
    Failed {
        /// Its URL without password.
        server: String,
        /// Which and how.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// Grants to this role would mean nothing.
    #[error("role {role} {why}: name another, or none")]
    Role {
        /// Its name.
        role: String,
        /// What it is.
        why: &'static str,
    },
    /// Another request failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl MigrateError {
    /// Postgres was away, or was lost on the way: another try may work without
    /// anybody changing anything.
    pub fn is_transient(&self) -> bool {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match self {
            Self::NoServer { .. } => true,
            Self::Database(error) => error.is_transient(),
            Self::Failed { source: Execute(lost) | ExecuteMigration(lost, _), .. } => {
                error::is_transient(lost)
            }
            Self::Newer { .. } | Self::Older { .. } | Self::Failed { .. } | Self::Role { .. } => {
                false
            }
        }
    }
}

/// Longest wait for a lock at a time.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '3s'";
/// SQLSTATE of one that was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Waits before a migration gives up: about two minutes.
const LOCK_TRIES: u32 = 16;
/// How often to look whether the server is still there.
const LOOK: Duration = Duration::from_secs(5);
/// One that answers nobody for so long is gone.
const SILENCE: Duration = Duration::from_secs(15);

/// The newest version in migrations/.
pub fn latest_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Applies what is missing. Waits up to `patience` for the server to answer.
///
/// # Errors
/// A newer schema is refused; see [`MigrateError`].
pub async fn migrate(config: &DatabaseConfig, patience: Duration) -> Result<(), MigrateError> {
    let connection = connect(config, patience).await?;
    while_it_answers(config, bring_up(connection, config.url.to_string())).await
}

/// Does work whose statements may take as long as they like: a server that
/// vanished is noticed by others who ask it.
pub(super) async fn while_it_answers(
    config: &DatabaseConfig,
    work: impl Future<Output = Result<(), MigrateError>>,
) -> Result<(), MigrateError> {
    let vanished = async {
        loop {
            tokio::time::sleep(LOOK).await;
            match connect(config, SILENCE).await {
                Ok(connection) => drop(connection.close().await),
                Err(gone @ MigrateError::NoServer { .. }) => return gone,
                Err(_) => {}
            }
        }
    };
    tokio::select! {
        done = work => done,
        gone = vanished => Err(gone),
    }
}

async fn bring_up(mut connection: PgConnection, server: String) -> Result<(), MigrateError> {
    let found = applied_version(&mut connection).await.map_err(|e| {
        DatabaseError::new("read the schema's version".to_owned(), server.clone(), e)
    })?;
    let known = latest_version();
    if found > known {
        return Err(MigrateError::Newer { server, found, known });
    }
    apply(&mut connection)
        .await
        .map_err(|source| MigrateError::Failed { server: server.clone(), source })?;
    tracing::info!(server, from = found, to = known, "schema is up to date");
    // Nothing is lost if the server does not hear the farewell.
    drop(connection.close().await);
    Ok(())
}

/// Runs the migrations. A table that somebody holds is waited for in pieces:
/// who waits for a table keeps everybody after him waiting too.
async fn apply(connection: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    sqlx::query(LOCK_TIMEOUT).execute(&mut *connection).await?;
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
    loop {
        // By `run`, whose bound has a lifetime, no task could do it.
        match MIGRATOR.run_direct(None, &mut *connection, false).await {
            Err(error) if waited_for_lock(&error) && backoff.attempts() + 1 < LOCK_TRIES => {
                tracing::warn!("something in the database is locked; trying again");
                backoff.wait().await;
            }
            done => return done,
        }
    }
}

fn waited_for_lock(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
    let (Execute(error) | ExecuteMigration(error, _)) = error else { return false };
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref()
        == Some(LOCK_NOT_AVAILABLE)
}

/// Whether the schema has at least what this program needs. Newer is fine:
/// migrations expand before they contract.
pub async fn check_schema_min(database: &Database, needed: i64) -> Result<(), MigrateError> {
    let error = |e| database.error("read the schema's version", e);
    let mut connection = database.pool().acquire().await.map_err(error)?;
    let found = applied_version(&mut connection).await.map_err(error)?;
    if found < needed {
        let server = database.url().to_string();
        return Err(MigrateError::Older { server, found, needed });
    }
    Ok(())
}

/// The newest migration applied, 0 for none.
async fn applied_version(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    // Not macros: the table is sqlx's own and may not exist yet.
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
        .fetch_one(connection)
        .await
}

/// A connection of its own: a migration may take longer than the pool's
/// statement time-out, and waits for the lock.
async fn connect(
    config: &DatabaseConfig,
    patience: Duration,
) -> Result<PgConnection, MigrateError> {
    let server = config.url.to_string();
    let options = options(config)?;
    let until = Instant::now() + patience;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
    loop {
        let attempt = tokio::time::timeout(Duration::from_secs(5), options.connect()).await;
        let source = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(source)) if error::is_transient(&source) => source,
            Ok(Err(source)) => {
                return Err(DatabaseError::new("connect".to_owned(), server, source).into());
            }
            Err(elapsed) => sqlx::Error::Io(std::io::Error::other(elapsed)),
        };
        if Instant::now() >= until {
            return Err(MigrateError::NoServer { server, seconds: patience.as_secs(), source });
        }
        if backoff.attempts() == 0 {
            tracing::warn!(server, error = %source, "waiting for Postgres");
        }
        backoff.wait().await;
    }
}
