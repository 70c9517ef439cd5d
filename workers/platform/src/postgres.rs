//! Postgres: what people ask about later.
//!
//! [`Database`] is the pool; it starts without the server. [`migrate`] brings
//! the schema up. The tables are a module each, their queries checked when
//! compiled (tests/sqlx-prepare.sh): [`broadcasts`], [`keys`], [`sessions`],
//! [`metrics`], [`qualities`], [`outbox`],
//! [`registry`]. [`record`] deletes what they hold of a stream. What must be committed together is
//! written through one [`Transaction`]. [`singleton`] is work that one process
//! does at a time.

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::config::{DatabaseConfig, ServiceUrl};

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
mod transaction;

pub use error::DatabaseError;
pub use migrate::{MigrateError, check_schema_min, latest_version, migrate};
pub use roles::grant_roles;
pub use transaction::Transaction;

/// Longest pause within a transaction: one that stands still must not hold its
/// locks.
const PAUSE_TIMEOUT: &str = "10s";

/// A pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub struct Database {
    pool: PgPool,
    url: ServiceUrl,
}

impl Database {
    /// Opens the pool. Asks no server: connections are made when needed, and
    /// again when lost.
    ///
    /// # Errors
    /// When the URL holds options Postgres does not know.
    pub fn open(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let statement_timeout = format!("{}ms", config.statement_timeout.as_millis());
        let options = options(&config.url)?.options([
            ("statement_timeout", statement_timeout.as_str()),
            ("idle_in_transaction_session_timeout", PAUSE_TIMEOUT),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .idle_timeout(config.idle_timeout)
            .connect_lazy_with(options);
        Ok(Self { pool, url: config.url.clone() })
    }

    /// Asks the server for nothing.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1")
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|e| self.error("ask whether it is there", e))
    }

    /// The pool, for the modules of the tables.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
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
        DatabaseError::new(what.into(), self.url.to_string(), source)
    }
}

fn options(url: &ServiceUrl) -> Result<PgConnectOptions, DatabaseError> {
    let options: PgConnectOptions = url
        .expose()
        .parse()
        .map_err(|source| DatabaseError::new("read the URL".to_owned(), url.to_string(), source))?;
    Ok(options.application_name("millrace"))
}

/// A row this version can't read.
fn decode(e: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(e))
}
