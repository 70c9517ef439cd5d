//! Postgres: what people ask about later.
//!
//! [`Database`] is the pool; it starts without the server, and
//! [`Database::guarded`] has a circuit breaker before it. [`migrate`] brings
//! the schema up. The tables are a module each, their queries checked when
//! compiled (tests/sqlx-prepare.sh): [`broadcasts`], [`keys`], [`sessions`],
//! [`metrics`], [`qualities`], [`outbox`],
//! [`registry`], [`tokens`]. [`record`] deletes what they hold of a stream. What must be committed together is
//! written through one [`Transaction`]. [`singleton`] is work that one process
//! does at a time.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::config::{DatabaseConfig, ServiceUrl};

mod breaker;
pub mod broadcasts;
mod error;
pub mod keys;
pub mod metrics;
mod migrate;
pub mod outbox;
pub mod page;
pub mod partitions;
pub mod qualities;
pub mod record;
pub mod registry;
mod roles;
mod scram;
pub mod sessions;
pub mod singleton;
pub mod tokens;
mod transaction;

use breaker::Shared;
pub use error::DatabaseError;
pub use migrate::{MigrateError, check_schema_min, latest_version, migrate};
pub use roles::grant_roles;
pub use transaction::Transaction;

/// Longest pause within a transaction: one that stands still must not hold its
/// locks.
const PAUSE_TIMEOUT: &str = "10s";

/// How long a connection that comes back to the pool may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    url: ServiceUrl,
    patience: Duration,
    breaker: Shared,
    /// A pool that refuses, for while the breaker is open.
    refusing: Option<PgPool>,
}

impl Database {
    /// Opens the pool. Asks no server: connections are made when needed, and
    /// again when lost.
    ///
    /// # Errors
    /// When the URL holds options Postgres does not know.
    pub fn open(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let statement_timeout = format!("{}ms", config.statement_timeout.as_millis());
        let options = options(config)?.options([
            ("statement_timeout", statement_timeout.as_str()),
            ("idle_in_transaction_session_timeout", PAUSE_TIMEOUT),
        ]);
        let breaker = Shared::default();
        let pool = breaker
            .noting(PgPoolOptions::new())
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(config.idle_timeout)
            // The pool itself would wait for an answer for ever, on a place.
            .after_release(|connection, _| {
                Box::pin(async {
                    let answer = tokio::time::timeout(CHECK_TIMEOUT, connection.ping());
                    answer.await.unwrap_or_else(|_| Err(late())).map(|()| true)
                })
            })
            .connect_lazy_with(options);
        let patience = config.acquire_timeout + 2 * config.statement_timeout;
        Ok(Self { pool, url: config.url.clone(), patience, breaker, refusing: None })
    }

    /// Asks the server for nothing.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1")
            .execute(self.pool())
            .await
            .map(drop)
            .map_err(|e| self.error("ask whether it is there", e))
    }

    /// Does some work, but waits no longer than it takes when the server
    /// answers: the server's limits are nothing to one that vanished.
    ///
    /// # Errors
    /// Those of the work, and `Unavailable`; nobody knows then what was done.
    pub async fn in_time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        let done = tokio::time::timeout(self.patience, work).await;
        done.unwrap_or_else(|_| Err(self.error(what, late())))
    }

    /// Where it is, for messages; without password.
    pub fn url(&self) -> &ServiceUrl {
        &self.url
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn error(&self, what: impl Into<String>, source: sqlx::Error) -> DatabaseError {
        let error = DatabaseError::new(what.into(), self.url.to_string(), source);
        self.breaker.note(&error);
        error
    }
}

fn late() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

fn options(config: &DatabaseConfig) -> Result<PgConnectOptions, DatabaseError> {
    let url = &config.url;
    let options: PgConnectOptions = url
        .expose()
        .parse()
        .map_err(|source| DatabaseError::new("read the URL".to_owned(), url.to_string(), source))?;
    let options = options.application_name("millrace");
    Ok(match &config.ca_file {
        Some(file) if !url.names("sslrootcert") => options.ssl_root_cert(file),
        _ => options,
    })
}

/// A row this version can't read.
fn decode(e: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(e))
}
